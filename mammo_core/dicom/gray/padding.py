"""Padding: pixels that are not part of the picture (PS3.3 C.7.5.1.1.2)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mammo_core.dicom.headers.values import integers

Stored = np.ndarray[Any, np.dtype[np.uint16]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Padding:
    """The values of padding, both ends included.

    Args:
        first: Pixel Padding Value, as written (US or SS).
        last: Pixel Padding Range Limit; equal to `first` without one.
    """

    first: int
    last: int


def read_padding(data: Any) -> Padding | None:
    """Return the padding of a header; None if it states none.

    Args:
        data: The allowed header fields (`FieldValues`).
    """
    first = integers(data, "PixelPaddingValue")
    if len(first) != 1:
        return None
    last = integers(data, "PixelPaddingRangeLimit")
    return Padding(first[0], last[0] if len(last) == 1 else first[0])


def padding_mask(raw: Stored, padding: Padding | None, bits: int, *, signed: bool) -> Mask | None:
    """Return which words are padding.

    The value is written as US or SS, whichever the writer chose, and may be outside the stored
    range.

    Args:
        raw: `(h, w) uint16` words, stored bits in the low bits; bits above them as in the file.
        padding: The padding of the header.
        bits: Bits stored.
        signed: Whether the stored values are signed.

    Returns:
        `(h, w) bool`, or None if no word is padding.
    """
    if padding is None:
        return None
    ends = [_convert(value, bits, signed=signed) for value in (padding.first, padding.last)]
    first, last = min(ends), max(ends)
    lowest, highest = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    values: Any = raw
    if signed and lowest <= first and last <= highest:
        shift = 16 - bits
        values = (raw << shift).view(np.int16) >> shift
    elif signed:
        values = raw.view(np.int16)
    mask: Mask = values == first if first == last else (values >= first) & (values <= last)
    return mask if mask.any() else None


def _convert(value: int, bits: int, *, signed: bool) -> int:
    """Return a value as it occurs among the words, whether it was written as US or as SS."""
    pattern = value & 0xFFFF
    if not signed:
        return pattern
    if value < 0 or pattern >= 1 << 15:
        return pattern - (1 << 16) if pattern >= 1 << 15 else pattern
    # The bits of a negative value without its sign extension.
    return pattern - (1 << bits) if 1 << (bits - 1) <= pattern < 1 << bits else pattern
