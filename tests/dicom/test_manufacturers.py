import pytest
from dicom_files import make, picture, save

from mammo_core.dicom import read_facts
from mammo_core.dicom.manufacturers import manufacturer_of


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("HOLOGIC, Inc.", "hologic"),
        ("Lorad, A Hologic Company", "hologic"),
        ("GE MEDICAL SYSTEMS", "ge"),
        ("General Electric", "ge"),
        ("SIEMENS", "siemens"),
        ("FUJIFILM Corporation", "fujifilm"),
        ("Philips Digital Mammography Sweden AB", "philips"),
        ("IMS s.r.l.", "ims giotto"),
        ("", "unknown"),
        ("  ", "unknown"),
        ("GEORGE", "other"),
        ("Doe^Jane", "other"),
    ],
)
def test_only_our_own_words_are_kept(text, name):
    assert manufacturer_of(text) == name


def test_the_header_names_the_manufacturer(tmp_path):
    save(make(picture(), Manufacturer="SIEMENS AG"), tmp_path / "a.dcm")
    save(make(picture()), tmp_path / "b.dcm")
    assert read_facts(tmp_path / "a.dcm").manufacturer == "siemens"
    assert read_facts(tmp_path / "b.dcm").manufacturer in ("unknown", "other")
