"""A file that another file follows is refused: the second would be ignored without a word."""

import cv2
import pytest
from dicom_files import mammogram, random_words, save
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from mammo_core.dicom import read_image
from mammo_core.errors import DicomError

SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
]


def dicom_bytes(path, syntax=ExplicitVRLittleEndian):
    data = mammogram(random_words())
    if syntax == RLELossless:
        data.compress(RLELossless)
    save(data, path, syntax)
    return path.read_bytes()


def png_bytes():
    return cv2.imencode(".png", random_words())[1].tobytes()


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.name.replace(" ", "-"))
@pytest.mark.parametrize("second", ["dicom", "png"])
def test_a_second_file_after_dicom_is_refused(tmp_path, syntax, second):
    first = dicom_bytes(tmp_path / "first", syntax)
    follows = png_bytes() if second == "png" else dicom_bytes(tmp_path / "second")
    path = tmp_path / "both"
    path.write_bytes(first + follows)
    with pytest.raises(DicomError, match="another image file after its end"):
        read_image(path, "image")
    # Padding between the files hides nothing.
    path.write_bytes(first + b"\0" * 300_000 + follows)
    with pytest.raises(DicomError, match="another image file after its end"):
        read_image(path, "image")
    # Trailing padding alone is harmless.
    path.write_bytes(first + b"\0" * 300_000)
    assert (read_image(path).pixels == read_image(tmp_path / "first").pixels).all()


def test_a_second_file_after_png_is_refused(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(png_bytes())
    assert (read_image(path).pixels == random_words()).all()
    for follows in (png_bytes(), dicom_bytes(tmp_path / "second")):
        path.write_bytes(png_bytes() + follows)
        with pytest.raises(DicomError):
            read_image(path, "image")


def test_elements_after_the_pixels_are_accepted(tmp_path):
    data = mammogram(random_words())
    data.add_new(0xFFFCFFFC, "OB", b"\0" * 64)  # Data Set Trailing Padding
    save(data, tmp_path / "image")
    assert (read_image(tmp_path / "image").pixels == random_words()).all()
