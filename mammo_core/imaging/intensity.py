"""The gray range of images: stored bits, full range, histogram equalisation."""

from typing import Any, Final

import numpy as np

from mammo_core.errors import RecipeError

FULL_RANGE: Final = 65535
"""The largest gray level of an image in this library: white, whatever the file stored."""

Pixels = np.ndarray[tuple[int, ...], np.dtype[Any]]


def to_full_range(pixels: Pixels, bits_stored: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """Stretch stored gray levels to the full 16-bit range: pixels * 65535 / (2**bits - 1).

    The scale depends on the bits stored only, never on the image's own maximum, so equal
    stored levels stay equal between images.

    Args:
        pixels: (h, w) uint8 or uint16, [0, 2**bits_stored - 1].
        bits_stored: Bits of the stored range, 1 to 16.

    Returns:
        (h, w) uint16, [0, 65535], rounded.

    Raises:
        RecipeError: `bits_stored` outside 1 to 16, or pixels outside the stored range.
    """
    if not 1 <= bits_stored <= 16:
        raise RecipeError(
            "Gray levels cannot be stretched",
            expected="1 to 16 bits stored",
            received=f"{bits_stored} bits",
        )
    top = 2**bits_stored - 1
    if pixels.dtype.kind not in "ui" or (pixels.size and int(pixels.max()) > top):
        raise RecipeError(
            "Gray levels cannot be stretched",
            expected=f"integers in [0, {top}] ({bits_stored} bits stored)",
            received=f"{pixels.dtype} up to {pixels.max() if pixels.size else 'nothing'}",
        )
    if bits_stored == 16:
        return pixels.astype(np.uint16, copy=False)
    # 65535 * 65535 + 32767 is below 2**32: exact in uint32.
    levels = (np.arange(top + 1, dtype=np.uint32) * FULL_RANGE + top // 2) // top
    return np.take(levels.astype(np.uint16), pixels)


def equalize_hist(pixels: Pixels) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Equalise the histogram of an 8-bit copy (original system: cv2.equalizeHist on uint8).

    Args:
        pixels: (h, w) uint16, [0, 65535], of which 257 levels make one; or uint8; or
            float, [0, 255], cut to whole numbers.

    Returns:
        (h, w) uint8, [0, 255].
    """
    import cv2

    if pixels.dtype == np.uint16:
        pixels = pixels // 257
    return np.asarray(cv2.equalizeHist(np.ascontiguousarray(pixels.astype(np.uint8))))
