"""Bands of ages."""

import pytest

from mammo_core.sources.identity.age_bands import age_band, stated_age_band


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("", ""),
        (" 39 ", "under 40"),
        ("0", "under 40"),
        ("40", "40 to 49"),
        ("49.9", "40 to 49"),
        ("058Y", "50 to 59"),
        ("69,5", "60 to 69"),
        ("70", "70 or more"),
        ("94.0", "70 or more"),
    ],
)
def test_an_age_is_only_its_band(text, band):
    assert age_band(text) == stated_age_band(text) == band


@pytest.mark.parametrize("text", ["old", "-3", "131", "5 8", "1965-02-01", "NaN"])
def test_what_is_no_age_is_refused(text):
    with pytest.raises(ValueError, match=r"^$"):
        age_band(text)
    assert stated_age_band(text) == ""
