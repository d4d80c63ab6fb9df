"""A file that another file follows is refused: the second would be ignored without a word."""

import hashlib
import io
import zlib
from pathlib import Path

import cv2
import pytest
import tifffile
from dicom_files import mammogram, random_words, recode, save
from PIL import Image
from pydicom import DataElement, Dataset, Sequence
from pydicom.data import get_testdata_file
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
)

from mammo_core.dicom import read_image
from mammo_core.dicom.headers import second_file
from mammo_core.errors import DicomError

SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg-lossless": JPEGLosslessSV1,
    "jpeg-2000": JPEG2000Lossless,
}


def data_set(syntax=ExplicitVRLittleEndian):
    """A data set whose pixels have the byte order of a transfer syntax."""
    data = mammogram(random_words())
    if syntax == ExplicitVRBigEndian:
        data.PixelData = random_words().astype(">u2").tobytes()
    return data


def dicom_bytes(path, syntax=ExplicitVRLittleEndian):
    data = data_set(syntax)
    if syntax == RLELossless:
        data.compress(RLELossless)
    if syntax in (JPEGLosslessSV1, JPEG2000Lossless):
        save(data, path)
        recode(path, path, syntax)
    else:
        save(data, path, syntax)
    return path.read_bytes()


def png_bytes():
    return cv2.imencode(".png", random_words())[1].tobytes()


def tiff_bytes(path, **options):
    tifffile.imwrite(path, random_words(), photometric="minisblack", **options)
    return path.read_bytes()


def pnm_bytes():
    return cv2.imencode(".pgm", random_words())[1].tobytes()


def exif_jpeg():
    """A JPEG picture that begins as those of cameras do."""
    picture = Image.fromarray(random_words().astype("uint8"))
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x010E] = "a description"
    picture.save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


PLAIN_PNM = b"P2\n# plain\n3 2\n255\n" + b"0 1 2\n3 4 255\n"
#: What may follow, and whether it is recognized as another image file.
AFTER = {
    "text": (lambda folder: b"anything", False),
    "byte": (lambda folder: b"\x01", False),
    "png": (lambda folder: png_bytes(), True),
    "tiff": (lambda folder: tiff_bytes(folder / "a"), True),
    "big-endian-tiff": (lambda folder: tiff_bytes(folder / "a", byteorder=">"), True),
    "big-tiff": (lambda folder: tiff_bytes(folder / "a", bigtiff=True), True),
    "pgm": (lambda folder: pnm_bytes(), True),
    "plain-pgm": (lambda folder: PLAIN_PNM, True),
    "jpeg": (
        lambda folder: cv2.imencode(".jpg", random_words().astype("uint8"))[1].tobytes(), True
    ),
    "exif-jpeg": (lambda folder: exif_jpeg(), True),
    "dicom": (lambda folder: dicom_bytes(folder / "a"), True),
    "implicit-dicom": (lambda folder: dicom_bytes(folder / "a", ImplicitVRLittleEndian), True),
    "dicom-that-is-a-tiff": (
        lambda folder: b"II*\0".ljust(128, b"x") + dicom_bytes(folder / "a")[128:], True
    ),
    "data-set": (lambda folder: dicom_bytes(folder / "a")[132:], False),
    "pixels": (lambda folder: b"\xe0\x7f\x10\x00OW\0\0\4\0\0\0\1\2\3\4", False),
    "zip": (lambda folder: b"PK\3\4" + bytes(100), False),
}  # fmt: skip


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_anything_after_dicom_is_refused(tmp_path, syntax, after):
    first = dicom_bytes(tmp_path / "first", SYNTAXES[syntax])
    make, is_image = AFTER[after]
    follows, path = make(tmp_path), tmp_path / "both"
    # Padding between the files hides nothing.
    for padding in (0, 1, 300_000):
        path.write_bytes(first + b"\0" * padding + follows)
        message = "image has another image file after" if is_image else "image has bytes after its"
        with pytest.raises(DicomError, match=message) as caught:
            read_image(path, "image", hash_file=True)
        assert caught.value.received and caught.value.hint


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_zeros_after_dicom_are_padding(tmp_path, syntax):
    path = tmp_path / "image"
    first = dicom_bytes(path, SYNTAXES[syntax])
    pixels = read_image(path).pixels
    for padding in (1, 7, 300_000):
        path.write_bytes(first + b"\0" * padding)
        image = read_image(path, hash_file=True)
        assert (image.pixels == pixels).all()
        assert image.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def sequence(undefined):
    """Digital Signatures Sequence with an item."""
    item = Dataset()
    item.MACIDNumber = 1
    item.DigitalSignatureUID = "1.2.3"
    item.is_undefined_length_sequence_item = undefined
    element = DataElement(0xFFFAFFFA, "SQ", Sequence([item]))
    element.is_undefined_length = undefined
    return [element]


#: Elements after the pixels (PS3.5 7.2, 7.8; PS3.3 C.12.1.1.3): those of real files.
ELEMENTS = {
    "padding": lambda: [DataElement(0xFFFCFFFC, "OB", b"\x07" * 64)],
    "empty-padding": lambda: [DataElement(0xFFFCFFFC, "OB", b"")],
    "signatures": lambda: sequence(False),
    "signatures-of-undefined-length": lambda: sequence(True),
    "private": lambda: [
        DataElement(0x7FE10010, "LO", "A WRITER"),
        DataElement(0x7FE11001, "OB", b"\xff\xd8\xff" * 100),
        DataElement(0x7FE11002, "US", 7),
    ],
    "private-without-a-creator": lambda: [DataElement(0x7FE11001, "UN", b"P5 3 3 255 ")],
    "all": lambda: [*ELEMENTS["private"](), *sequence(True), *ELEMENTS["padding"]()],
}


@pytest.mark.parametrize("elements", ELEMENTS)
@pytest.mark.parametrize("syntax", ["explicit", "implicit", "big-endian", "deflated", "rle"])
def test_elements_after_the_pixels_are_accepted(tmp_path, syntax, elements):
    path = tmp_path / "image"
    data = data_set(SYNTAXES[syntax])
    if syntax == "rle":
        data.compress(RLELossless)
    for element in ELEMENTS[elements]():
        data.add(element)
    save(data, path, SYNTAXES[syntax])
    whole = path.read_bytes()
    assert (read_image(path).pixels == random_words()).all()
    path.write_bytes(whole + b"\0" * 9)
    read_image(path)
    for follows in (b"\x01", exif_jpeg(), tiff_bytes(tmp_path / "a"), dicom_bytes(tmp_path / "a")):
        path.write_bytes(whole + follows)
        with pytest.raises(DicomError, match="after its end"):
            read_image(path, "image")


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "deflated", "rle"])
@pytest.mark.parametrize("hidden", ["dicom", "png"])
def test_a_file_in_the_padding_of_another_is_refused(tmp_path, syntax, hidden):
    data = mammogram(random_words())
    if syntax == "rle":
        data.compress(RLELossless)
    content = AFTER[hidden][0](tmp_path)
    data.add_new(0xFFFCFFFC, "OB", b"\0" * 50 + content + b"\0" * (len(content) % 2))
    save(data, tmp_path / "image", SYNTAXES[syntax])
    with pytest.raises(DicomError, match="another image file after its end"):
        read_image(tmp_path / "image", "image")


def test_pixels_without_a_delimiter_end_with_their_last_fragment(tmp_path):
    path = tmp_path / "image"
    first = dicom_bytes(path, RLELossless)
    assert first.endswith(b"\xfe\xff\xdd\xe0\0\0\0\0")
    path.write_bytes(first[:-8])
    assert (read_image(path).pixels == random_words()).all()
    for follows in (b"x", exif_jpeg(), dicom_bytes(tmp_path / "a")):
        path.write_bytes(first[:-8] + follows)
        with pytest.raises(DicomError, match="after its end"):
            read_image(path, "image")


def test_what_follows_the_pixels_has_limits(tmp_path, monkeypatch):
    path = tmp_path / "image"
    data = mammogram(random_words())
    data.add_new(0xFFFCFFFC, "OB", bytes(2**24))
    save(data, path, DeflatedExplicitVRLittleEndian)
    assert (read_image(path).pixels == random_words()).all()
    monkeypatch.setattr(second_file, "_MAXIMUM_INFLATED", 2**24)
    with pytest.raises(DicomError, match="exceeds the limits"):
        read_image(path, "image")
    # Elements without a value, in ascending order.
    path = tmp_path / "elements"
    tags = range(0x7FE10010, 0x7FE10010 + 150_000)
    elements = b"".join(
        (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + bytes(4)
        for tag in tags
    )
    path.write_bytes(dicom_bytes(tmp_path / "a", ImplicitVRLittleEndian) + elements)
    with pytest.raises(DicomError, match="exceeds the limits"):
        read_image(path, "image")


def test_a_deflated_data_set_without_an_end_is_read(tmp_path):
    """Its last block is missing, and all its elements are there."""
    path = tmp_path / "image"
    whole = dicom_bytes(path, DeflatedExplicitVRLittleEndian)
    start = 144 + read_file_meta_info(path).FileMetaInformationGroupLength
    content = zlib.decompress(whole[start:], -zlib.MAX_WBITS)
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    open_stream = deflater.compress(content) + deflater.flush(zlib.Z_SYNC_FLUSH)
    path.write_bytes(whole[:start] + open_stream)
    assert (read_image(path).pixels == random_words()).all()


def test_the_trailer_of_gzip_belongs_to_a_deflated_data_set(tmp_path):
    """That of pydicom's image_dfl.dcm: a checksum and the inflated size (RFC 1952 2.3.1)."""
    real = Path(get_testdata_file("image_dfl.dcm")).read_bytes()
    assert real.endswith((262_682).to_bytes(4, "little"))
    path = tmp_path / "image"
    path.write_bytes(real)
    read_image(path)
    for follows in (b"\1", exif_jpeg(), dicom_bytes(tmp_path / "a")):
        path.write_bytes(real + follows)
        with pytest.raises(DicomError, match="after its end"):
            read_image(path, "image")
    for wrong in (real[:-1] + b"\1", real[:-8] + bytes(4) + b"\1\2\3\4", real[:-1]):
        path.write_bytes(wrong)
        with pytest.raises(DicomError, match="bytes after its end"):
            read_image(path, "image")


def test_an_element_that_is_cut_off_is_damage(tmp_path):
    path = tmp_path / "image"
    data = mammogram(random_words())
    data.add_new(0xFFFCFFFC, "OB", bytes(2000))
    for syntax in (ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        save(data, path, syntax)
        path.write_bytes(path.read_bytes()[:-8])
        with pytest.raises(DicomError, match=r"bytes after its end.*the file is damaged"):
            read_image(path, "image")


def test_a_second_file_after_png_is_refused(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(png_bytes())
    assert (read_image(path).pixels == random_words()).all()
    for follows in (png_bytes(), dicom_bytes(tmp_path / "second")):
        path.write_bytes(png_bytes() + follows)
        with pytest.raises(DicomError):
            read_image(path, "image")


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


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("file_format", FORMATS)
def test_anything_after_a_picture_is_refused(tmp_path, file_format, after):
    first, follows = FORMATS[file_format](tmp_path), AFTER[after][0](tmp_path)
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
