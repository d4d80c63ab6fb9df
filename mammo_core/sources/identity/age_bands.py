"""Bands of ages: an age itself is never kept."""

import re
from typing import Final

_OLDEST: Final = 130
#: First age of each band of ten years, between the first and the last one.
_BANDS: Final = (40, 50, 60)
_TOP: Final = 70


def age_band(text: str) -> str:
    """Return the band of ten years that an age is in; empty for an empty text.

    Ages from 70 are one band, so that the oldest patients are not a few.

    Args:
        text: An age in years, as a table states it: `58`, `58.0`, `058Y`.

    Raises:
        ValueError: It is no age from 0 to 130.
    """
    text = text.strip()
    if not text:
        return ""
    match = re.fullmatch(r"0*(\d{1,3})(?:[.,]\d+)?Y?", text)
    if match is None or int(match[1]) > _OLDEST:
        raise ValueError
    age = int(match[1])
    if age < _BANDS[0]:
        return f"under {_BANDS[0]}"
    if age >= _TOP:
        return f"{_TOP} or more"
    start = 10 * (age // 10)
    return f"{start} to {start + 9}"


def stated_age_band(text: str) -> str:
    """Return the band of an age, or nothing where a published table states none or no age.

    Args:
        text: A cell.
    """
    try:
        return age_band(text)
    except ValueError:
        return ""
