"""Files that are hashed while they are read: the whole digest without a second read."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from dicom_files import mammogram, random_words, save
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from mammo_core.dicom import read_image
from mammo_core.dicom.headers.hashing import file_digest, open_image_file

LARGE = random_words(shape=(1500, 1300))  # pixels for several reads


def raw(syntax):
    return lambda path: save(mammogram(LARGE), path, syntax)


def rle(path):
    data = mammogram(LARGE)
    data.compress(RLELossless, generate_instance_uid=False)
    data.save_as(path, enforce_file_format=True)


def private(size):
    """Return a writer of a file with a skipped element before the pixels."""

    def write(path):
        data = mammogram(LARGE)
        block = data.private_block(0x0099, "TEST", create=True)
        block.add_new(1, "OB", np.random.default_rng(1).bytes(size))
        save(data, path)

    return write


def longer(path):
    """Write an element after the pixels."""
    data = mammogram(LARGE)
    data.DataSetTrailingPadding = b"\2" * 300_000
    save(data, path)


def big_endian(path):
    data = mammogram(LARGE)
    data.PixelData = LARGE.astype(">u2").tobytes()
    save(data, path, ExplicitVRBigEndian)


FILES = {
    "explicit": raw(ExplicitVRLittleEndian),
    "implicit": raw(ImplicitVRLittleEndian),
    "big endian": big_endian,
    "deflated": raw(DeflatedExplicitVRLittleEndian),
    "RLE": rle,
    "with a skipped element": private(100_000),
    "with a large skipped element": private(5_000_000),
    "longer than its image": longer,
    "PNG": lambda path: path.write_bytes(cv2.imencode(".png", LARGE)[1].tobytes()),
    "TIFF": lambda path: path.write_bytes(cv2.imencode(".tif", LARGE)[1].tobytes()),
}


@pytest.mark.parametrize("file", FILES)
def test_the_digest_equals_that_of_the_whole_file(tmp_path, file):
    path = tmp_path / "a"
    FILES[file](path)
    image = read_image(path, hash_file=True)
    assert image.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    plain = read_image(path)
    assert plain.sha256 is None
    assert plain.facts == image.facts and np.array_equal(plain.pixels, image.pixels)
    assert np.array_equal(image.pixels, LARGE)


def bytes_read() -> int:
    """Return the bytes that this process has read with system calls so far (proc(5))."""
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.parametrize("file", ["explicit", "with a skipped element"])
def test_a_file_is_read_once(tmp_path, file):
    path = tmp_path / "a"
    FILES[file](path)
    read_image(path, hash_file=True)  # imports, the decoding process
    before = bytes_read()
    read_image(path, hash_file=True)
    assert bytes_read() - before < path.stat().st_size + 400_000


@pytest.mark.parametrize(
    "reads",
    [
        [(0, 10), (5, 100), (0, 1), (50, 7)],
        [(200_000, 5), (10, 1_000_000), (0, 300_000)],
        [(2_900_000, 50), (0, 10), (2_999_999, 10), (3_500_000, 10)],
        [],
    ],
)
def test_the_digest_does_not_depend_on_the_order_of_reads(tmp_path, reads):
    content = np.random.default_rng(3).bytes(3_000_000)
    path = tmp_path / "a"
    path.write_bytes(content)
    with open_image_file(path, "a", hash_file=True) as file:
        for start, size in reads:
            file.seek(start)
            assert file.read(size) == content[start : start + size]
        assert file_digest(file) == hashlib.sha256(content).hexdigest()
    with open_image_file(path, "a") as file:
        assert file_digest(file) is None
