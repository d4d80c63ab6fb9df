"""Encodings of padding, tables and fragments that need files of their own."""

import numpy as np
import pytest
from drawn_files import (
    JPEG_2000,
    PADDED,
    PICTURE,
    SIGNED,
    WORDS,
    draw,
    encapsulated,
    encode_2000,
    in_2000,
    native,
    padded,
    save,
    table,
)

from mammo_core.dicom import read_image
from mammo_core.errors import DicomError


def test_padding_and_tables_with_implicit_vr(tmp_path):
    # There the parser knows neither US nor SS, nor the VR of the entries.
    data = padded(-2000, vr="SS", bits=13, **SIGNED)
    assert np.array_equal(read_image(save(data, tmp_path / "a.dcm", implicit=True)).pixels, PADDED)
    fields = table("ModalityLUTSequence", range(4095, -1, -1), 12)
    path = save(native(4095 - WORDS, **fields), tmp_path / "b.dcm", implicit=True)
    assert np.array_equal(read_image(path).pixels, WORDS)


def test_a_range_of_padding(tmp_path):
    words = np.where(np.arange(PICTURE.shape[1]) < 70, WORDS, -(np.arange(PICTURE.shape[1]) % 7))
    data = native(words, 13, **SIGNED, PixelPaddingValue=None)
    data.add_new("PixelPaddingValue", "SS", -1)
    data.add_new("PixelPaddingRangeLimit", "US", 65530)  # -6
    assert np.array_equal(read_image(save(data, tmp_path / "a.dcm")).pixels, PADDED)


def test_a_file_may_lack_the_end_of_its_fragments(tmp_path):
    data = encapsulated(encode_2000(PICTURE, 12), JPEG_2000)
    path = save(data, tmp_path / "a.dcm")
    raw = path.read_bytes()
    assert raw.endswith(b"\xfe\xff\xdd\xe0\0\0\0\0")
    path.write_bytes(raw[:-8])
    assert np.array_equal(read_image(path).pixels, WORDS)


@pytest.mark.parametrize("seed", range(3))
def test_the_sign_of_other_pictures(tmp_path, seed):
    # The sign is decided by the picture, so other pictures are decided in the same way.
    words = draw(64, 70, seed).astype(np.int32)
    fields = {"Rows": 64, "Columns": 70}
    path = save(in_2000(words, 12, 12, **SIGNED, **fields), tmp_path / "a.dcm")
    assert np.array_equal(read_image(path).pixels, words)
    path = save(in_2000((words // 2 - 700) & 0xFFF, 12, 12, **SIGNED, **fields), tmp_path / "b.dcm")
    with pytest.raises(DicomError, match="sign is unclear"):
        read_image(path)
