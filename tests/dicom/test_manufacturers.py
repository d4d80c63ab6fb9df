import pytest
from dicom_files import mammogram, random_words, save

from mammo_core.dicom import read_facts
from mammo_core.dicom.meanings.manufacturers import normalize_manufacturer


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
def test_only_names_in_our_list_are_kept(text, name):
    assert normalize_manufacturer(text) == name


def test_the_manufacturer_of_a_header_is_normalized(tmp_path):
    save(mammogram(random_words(), Manufacturer="SIEMENS AG"), tmp_path / "a.dcm")
    save(mammogram(random_words()), tmp_path / "b.dcm")
    assert read_facts(tmp_path / "a.dcm").manufacturer == "siemens"
    assert read_facts(tmp_path / "b.dcm").manufacturer in ("unknown", "other")
