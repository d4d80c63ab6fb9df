"""Warnings about the gray levels of a whole picture: its range, and its background."""

from typing import Any, Final

import numpy as np

from mammo_core.dicom.meanings.meaning import ImageWarning

Gray = np.ndarray[Any, np.dtype[Any]]
#: Bits of the range that may be unused before it is reported: half of the range is common.
_UNUSED_BITS: Final = 2
#: A corner is a block of this share of each side.
_CORNER: Final = 1 / 16


def range_warnings(used: int, bits: int) -> list[ImageWarning]:
    """Return the warning that an image uses a fourth of its gray range or less, if it does.

    Args:
        used: Bits that occur in its stored values, combined by OR.
        bits: Bits of the range.
    """
    length = used.bit_length()
    if length > bits - _UNUSED_BITS:
        return []
    return [
        ImageWarning(
            code="unused_range",
            message=f"The pixels use {length} of {bits} bits: 1/{2 ** (bits - length)} of the gray "
            "range",
        )
    ]


def background_warnings(levels: Gray, bits: int) -> list[ImageWarning]:
    """Return the warning that an image has no dark corner, if it has none.

    The background of a mammogram is black, and the breast leaves at least one corner free. An
    image without a dark corner is inverted or is not a mammogram.

    Args:
        levels: `(h, w) uint8 or uint16, [0, 2**bits - 1]`, black is 0.
        bits: Bits of the range.
    """
    height, width = (max(1, int(side * _CORNER)) for side in levels.shape)
    corners = [
        levels[rows, columns].mean()
        for rows in (slice(height), slice(-height, None))
        for columns in (slice(width), slice(-width, None))
    ]
    if min(corners) <= (2**bits - 1) / 2:
        return []
    return [
        ImageWarning(
            code="bright_background",
            message="No corner of the picture is dark: it is inverted, or not a mammogram",
        )
    ]
