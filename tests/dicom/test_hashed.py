"""Files that are hashed while they are read: the digest of the whole file, and no second read."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from dicom_files import make, picture, save
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from mammo_core.dicom import read_image
from mammo_core.dicom.hashed import opened, sha256_of

LARGE = picture(shape=(1500, 1300))  # several reads' worth of pixels


def raw(syntax):
    return lambda path: save(make(LARGE), path, syntax)


def rle(path):
    data = make(LARGE)
    data.compress(RLELossless, generate_instance_uid=False)
    data.save_as(path, enforce_file_format=True)


def private(size):
    """An element before the pixels that is skipped."""

    def write(path):
        data = make(LARGE)
        block = data.private_block(0x0099, "TEST", create=True)
        block.add_new(1, "OB", np.random.default_rng(1).bytes(size))
        save(data, path)

    return write


def longer(path):
    """More pixels than the header says, and an element behind them."""
    data = make(LARGE)
    data.PixelData += b"\1" * 700_000
    data.DataSetTrailingPadding = b"\2" * 300_000
    save(data, path)


FILES = {
    "explicit": raw(ExplicitVRLittleEndian),
    "implicit": raw(ImplicitVRLittleEndian),
    "big endian": raw(ExplicitVRBigEndian),
    "deflated": raw(DeflatedExplicitVRLittleEndian),
    "RLE": rle,
    "an element skipped": private(100_000),
    "a large element skipped": private(5_000_000),
    "longer than its picture": longer,
    "PNG": lambda path: path.write_bytes(cv2.imencode(".png", LARGE)[1].tobytes()),
    "TIFF": lambda path: path.write_bytes(cv2.imencode(".tif", LARGE)[1].tobytes()),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_digest_is_that_of_the_file(tmp_path, kind):
    path = tmp_path / "a"
    FILES[kind](path)
    image = read_image(path, hashed=True)
    assert image.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    plain = read_image(path)
    assert plain.sha256 is None
    assert plain.facts == image.facts and np.array_equal(plain.pixels, image.pixels)
    if kind != "big endian":
        assert np.array_equal(image.pixels, LARGE)


def bytes_read() -> int:
    """Bytes this process has read by system calls so far (proc(5))."""
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.parametrize("kind", ["explicit", "an element skipped"])
def test_a_file_is_read_once(tmp_path, kind):
    path = tmp_path / "a"
    FILES[kind](path)
    read_image(path, hashed=True)  # imports, the decoding process
    before = bytes_read()
    read_image(path, hashed=True)
    assert bytes_read() - before < path.stat().st_size + 400_000


@pytest.mark.parametrize(
    "places",
    [
        [(0, 10), (5, 100), (0, 1), (50, 7)],
        [(200_000, 5), (10, 1_000_000), (0, 300_000)],
        [(2_900_000, 50), (0, 10), (2_999_999, 10), (3_500_000, 10)],
        [],
    ],
)
def test_whatever_is_read_in_whatever_order(tmp_path, places):
    held = np.random.default_rng(3).bytes(3_000_000)
    path = tmp_path / "a"
    path.write_bytes(held)
    with opened(path, "a", hashed=True) as file:
        for place, size in places:
            file.seek(place)
            assert file.read(size) == held[place : place + size]
        assert sha256_of(file) == hashlib.sha256(held).hexdigest()
    with opened(path, "a") as file:
        assert sha256_of(file) is None
