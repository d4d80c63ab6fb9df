"""Headers and pixels in every uncompressed transfer syntax, and damaged deflated ones."""

import struct
import zlib

import numpy as np
import pytest
from hostile import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, UNDEFINED, hostile

from mammo_core.dicom import read_facts, read_image
from mammo_core.errors import DicomError


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED])
def test_pixels_are_read_in_every_syntax(tmp_path, syntax):
    path = tmp_path / "a.dcm"
    order = ">" if syntax == BIG_ENDIAN else "<"
    words = np.random.default_rng(1).integers(0, 4096, (96, 72)).astype(f"{order}u2")
    path.write_bytes(hostile(syntax, pixels=lambda w: w.element(0x7FE00010, "OW", words.tobytes())))
    assert np.array_equal(read_image(path).pixels, words)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DicomError, match=r"truncated|few"):
        read_image(path)


def test_deflated_fragments_are_rejected(tmp_path):
    path = tmp_path / "a.dcm"
    pixels = b"\x10\x01" * 96 * 72
    fragment = struct.pack("<HHL", 0xFFFE, 0xE000, len(pixels)) + pixels
    path.write_bytes(
        hostile(DEFLATED, pixels=lambda w: w.element(0x7FE00010, "OB", fragment + w.end, UNDEFINED))
    )
    with pytest.raises(DicomError, match="do not match its transfer syntax"):
        read_image(path)


def test_bytes_that_are_not_deflated_are_rejected(tmp_path):
    path = tmp_path / "a.dcm"
    raw = hostile(DEFLATED)
    path.write_bytes(raw[:250] + b"\xff" * 400)
    with pytest.raises(DicomError, match=r"cannot be inflated|cannot be parsed|no pixels"):
        read_image(path)


def test_empty_blocks_of_deflated_bytes_are_rejected(tmp_path):
    # A dynamic block without content; 20 MB of them took 2 s of processor time.
    block = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    empty = block.compress(b"") + block.flush(zlib.Z_FULL_FLUSH)
    whole = hostile(DEFLATED)
    start = whole.index(DEFLATED.encode()) + len(DEFLATED)
    path = tmp_path / "a.dcm"
    path.write_bytes(whole[:start] + empty * (2**21 // len(empty)) + whole[start:])
    with pytest.raises(DicomError, match="deflated bytes without content"):
        read_facts(path)
    path.write_bytes(whole[:start] + empty * 100 + whole[start:])
    assert read_facts(path).view == "CC"
