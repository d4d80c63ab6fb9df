"""TIFF files: WhiteIsZero in every depth and layout, orientation, sample format, pages."""

import itertools

import cv2
import numpy as np
import pytest
import tifffile
from drawn_files import PICTURE, WORDS

from mammo_core.dicom import read_image
from mammo_core.errors import DicomError

FULL = (WORDS * 16 + WORDS // 256).astype(np.uint16)
EIGHT = (PICTURE >> 4).astype(np.uint8)
LAYOUTS = list(itertools.product((None, (16, 16)), (None, "zlib"), ("<", ">"), (False, True)))


def write(path, pixels, **options):
    tifffile.imwrite(path, pixels, metadata=None, **{"photometric": "minisblack", **options})
    return path


@pytest.mark.parametrize("picture", [EIGHT, FULL], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_black_is_zero_in_every_layout(tmp_path, picture, white_is_zero):
    stored = np.iinfo(picture.dtype).max - picture if white_is_zero else picture
    photometric = "miniswhite" if white_is_zero else "minisblack"
    for number, (tile, compression, order, big) in enumerate(LAYOUTS):
        path = write(
            tmp_path / f"{number}.tif", stored, photometric=photometric, tile=tile,
            compression=compression, byteorder=order, bigtiff=big,
        )  # fmt: skip
        image = read_image(path)
        assert np.array_equal(image.pixels, picture), LAYOUTS[number]
        assert image.facts.warnings == ()
        assert image.facts.photometric == ("MONOCHROME1" if white_is_zero else "MONOCHROME2")


@pytest.mark.parametrize("picture", [EIGHT, FULL], ids=["8 bits", "16 bits"])
def test_white_is_zero_with_lzw(tmp_path, picture):
    path = tmp_path / "a.tif"
    cv2.imwrite(str(path), np.iinfo(picture.dtype).max - picture)  # with LZW
    raw = path.read_bytes()
    black_is_zero = bytes.fromhex("060103000100000001000000")  # tag 262, SHORT, one value
    assert raw.count(black_is_zero) == 1
    path.write_bytes(raw.replace(black_is_zero, black_is_zero[:8] + bytes(4)))
    assert np.array_equal(read_image(path).pixels, picture)


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [(1, FULL), (2, FULL[:, ::-1]), (3, FULL[::-1, ::-1]), (4, FULL[::-1])],
)
def test_orientation_is_applied(tmp_path, orientation, turned):
    path = write(tmp_path / "a.tif", FULL, extratags=[(274, 3, 1, orientation, True)])
    assert np.array_equal(read_image(path).pixels, turned)


@pytest.mark.parametrize("dtype", [np.int16, np.float16, np.uint32])
def test_other_samples_are_refused(tmp_path, dtype):
    path = write(tmp_path / "a.tif", WORDS.astype(dtype))
    with pytest.raises(DicomError, match="not a gray image"):
        read_image(path)


@pytest.mark.parametrize("big", [False, True])
def test_several_pages_are_refused(tmp_path, big):
    path = write(tmp_path / "a.tif", np.stack([FULL, FULL]), bigtiff=big)
    with pytest.raises(DicomError, match="several pages"):
        read_image(path)
