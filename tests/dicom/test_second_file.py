"""A file that another file follows is refused: the second would be ignored without a word."""

import cv2
import pytest
import tifffile
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


def tiff_bytes(path, **options):
    tifffile.imwrite(path, random_words(), photometric="minisblack", **options)
    return path.read_bytes()


def pnm_bytes():
    return cv2.imencode(".pgm", random_words())[1].tobytes()


PLAIN_PNM = b"P2\n# plain\n3 2\n255\n" + b"0 1 2\n3 4 255\n"
FORMATS = {
    "png": lambda folder: png_bytes(),
    "pgm": lambda folder: pnm_bytes(),
    "plain-pgm": lambda folder: PLAIN_PNM,
    "tiff": lambda folder: tiff_bytes(folder / "t"),
    "deflated-tiff": lambda folder: tiff_bytes(folder / "t", compression="zlib"),
    "big-endian-tiff": lambda folder: tiff_bytes(folder / "t", byteorder=">"),
    "tiled-tiff": lambda folder: tiff_bytes(folder / "t", tile=(16, 16)),
    "tiff-of-strips": lambda folder: tiff_bytes(folder / "t", rowsperstrip=3),
    "big-tiff": lambda folder: tiff_bytes(folder / "t", bigtiff=True),
}
AFTER = {
    "text": lambda folder: b"anything",
    "byte": lambda folder: b"\x01",
    "png": lambda folder: png_bytes(),
    "tiff": lambda folder: tiff_bytes(folder / "a"),
    "pgm": lambda folder: pnm_bytes(),
    "jpeg": lambda folder: cv2.imencode(".jpg", random_words().astype("uint8"))[1].tobytes(),
    "dicom": lambda folder: dicom_bytes(folder / "a"),
}


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("file_format", FORMATS)
def test_anything_after_a_picture_is_refused(tmp_path, file_format, after):
    first, follows = FORMATS[file_format](tmp_path), AFTER[after](tmp_path)
    path = tmp_path / "image"
    path.write_bytes(first)
    read_image(path)
    for padding in (0, 300):
        path.write_bytes(first + b"\0" * padding + follows)
        with pytest.raises(DicomError, match="image has bytes after its end"):
            read_image(path, "image")


@pytest.mark.parametrize("file_format", [name for name in FORMATS if "tiff" in name])
def test_zeros_after_a_tiff_file_are_padding(tmp_path, file_format):
    path = tmp_path / "image"
    path.write_bytes(FORMATS[file_format](tmp_path) + b"\0" * 300)
    read_image(path)


def test_a_second_tiff_after_one_with_another_directory_is_found(tmp_path):
    first = tiff_bytes(tmp_path / "t", extratags=[(34665, "I", 1, 8, True)])  # Exif
    path = tmp_path / "image"
    path.write_bytes(first)
    read_image(path)
    path.write_bytes(first + tiff_bytes(tmp_path / "a"))
    with pytest.raises(DicomError, match="bytes after its end, which begin another"):
        read_image(path, "image")


def test_elements_after_the_pixels_are_accepted(tmp_path):
    data = mammogram(random_words())
    data.add_new(0xFFFCFFFC, "OB", b"\0" * 64)  # Data Set Trailing Padding
    save(data, tmp_path / "image")
    assert (read_image(tmp_path / "image").pixels == random_words()).all()
