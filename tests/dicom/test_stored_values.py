"""Tests of the values of a pixel frame."""

from dataclasses import replace

import numpy as np
import pytest

from mammo_core.dicom.gray.stored_values import BitLayout, read_stored_values, used_bits

BYTES = BitLayout(allocated=8, stored=8, high=7)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [1, 3, 4, 7, 8, 9, 64, 65])
def test_used_bits_are_those_of_any_word(dtype: type[np.unsignedinteger], size: int) -> None:
    words = np.random.default_rng(size).integers(0, np.iinfo(dtype).max, size, dtype=dtype)
    for position in range(size):
        single = np.zeros(size, dtype)
        single[position] = words[position]
        assert used_bits(single) == words[position]
    assert used_bits(words) == int(np.bitwise_or.reduce(words))


def test_bytes_that_fill_their_range_are_not_copied() -> None:
    words = np.arange(256, dtype=np.uint8).reshape(16, 16)
    stored = read_stored_values(words, BYTES, None, "a.dcm")
    assert np.shares_memory(stored.values, words)
    assert (stored.bits, stored.used, stored.offset) == (8, 255, 0)


@pytest.mark.parametrize(
    "change",
    [{"signed": True}, {"stored": 7, "high": 6}, {"precision": 7}, {"stream_signed": True}],
    ids=str,
)
def test_other_bytes_are_widened(change: dict[str, int]) -> None:
    words = np.arange(64, dtype=np.uint8).reshape(8, 8)
    stored = read_stored_values(words.copy(), replace(BYTES, **change), None, "a.dcm")
    assert stored.values.dtype == np.uint16
    assert np.array_equal(stored.values, words)
