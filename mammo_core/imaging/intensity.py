"""The gray range of images: stored bits, full range, histogram equalization."""

import functools
from typing import Any, Final

import numpy as np

from mammo_core.errors import RecipeError
from mammo_core.imaging.options import FULL_RANGE, Stretch

_STRIP: Final = 64

Pixels = np.ndarray[tuple[int, ...], np.dtype[Any]]


def stretch(
    pixels: Pixels, bits_stored: int, policy: Stretch = "bit_depth"
) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """Convert stored gray levels to 16 bits by one of three policies.

    Args:
        pixels: (h, w) uint8 or uint16, [0, 2**bits_stored - 1].
        bits_stored: Bits of the stored range, 1 to 16.
        policy: `bit_depth` (see `to_full_range`), `min_max` (the image's darkest pixel to 0, its
            brightest to 65535; `auto_level` in docs/original-system.md, "Conversion and
            intensity") or `none` (levels as stored: 12 bits stay below 4096).

    Returns:
        (h, w) uint16, [0, 65535]; `min_max` of an image of one gray level is all 0.

    Raises:
        RecipeError: As in `to_full_range`, or the policy is unknown.
    """
    if policy == "bit_depth":
        return to_full_range(pixels, bits_stored)
    _require_range(pixels, bits_stored)
    if policy == "none":
        return pixels.astype(np.uint16, copy=False)
    if policy != "min_max":
        raise RecipeError(
            "Unknown stretch policy",
            expected="bit_depth, min_max or none",
            received=repr(policy),
        )
    low, high = (int(pixels.min()), int(pixels.max())) if pixels.size else (0, 0)
    if low == high:
        return np.zeros(pixels.shape, np.uint16)
    return _scale(pixels, low, high)


def to_full_range(pixels: Pixels, bits_stored: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """Stretch stored gray levels to the full 16-bit range: pixels * 65535 / (2**bits - 1).

    The scale depends only on the number of stored bits and not on the image's maximum, so equal
    stored levels stay equal across images.

    Args:
        pixels: (h, w) uint8 or uint16, [0, 2**bits_stored - 1].
        bits_stored: Bits of the stored range, 1 to 16.

    Returns:
        (h, w) uint16, [0, 65535], rounded.

    Raises:
        RecipeError: `bits_stored` outside 1 to 16, or pixels outside the stored range.
    """
    _require_range(pixels, bits_stored)
    if bits_stored == 16:
        return pixels.astype(np.uint16, copy=False)
    return _scale(pixels, 0, 2**bits_stored - 1)


def _scale(pixels: Pixels, low: int, high: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """Map [low, high] to [0, 65535], rounded."""
    scaled = np.empty(pixels.shape, np.uint16)
    span = high - low
    # In strips that fit into the cache: three times as fast as a look-up table, and no copy of
    # the image in a wider type. 65535 * 65535 + 32767 is below 2**32: exact in uint32.
    for row in range(0, pixels.shape[0], _STRIP):
        strip = pixels[row : row + _STRIP].astype(np.uint32)
        strip -= np.uint32(low)
        strip *= np.uint32(FULL_RANGE)
        strip += np.uint32(span // 2)
        strip //= np.uint32(span)
        scaled[row : row + _STRIP] = strip
    return scaled


def _require_range(pixels: Pixels, bits_stored: int) -> None:
    if not 1 <= bits_stored <= 16:
        raise RecipeError(
            "Gray levels cannot be stretched",
            expected="1 to 16 bits stored",
            received=f"{bits_stored} bits",
        )
    top = 2**bits_stored - 1
    if pixels.dtype == np.uint16 and bits_stored == 16:
        return
    if pixels.dtype.kind not in "ui" or (pixels.size and int(pixels.max()) > top):
        raise RecipeError(
            "Gray levels cannot be stretched",
            expected=f"integers in [0, {top}] ({bits_stored} bits stored)",
            received=f"{pixels.dtype} up to {pixels.max() if pixels.size else 'nothing'}",
        )


def equalize_hist(pixels: Pixels) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Equalize the histogram of an 8-bit copy, by cv2.equalizeHist as the original does.

    Args:
        pixels: (h, w) uint16, [0, 65535], divided by 257; or uint8; or float, [0, 255],
            truncated to integers.

    Returns:
        (h, w) uint8, [0, 255].
    """
    import cv2

    if pixels.dtype == np.uint16:
        pixels = pixels // 257
    return np.asarray(cv2.equalizeHist(np.ascontiguousarray(pixels.astype(np.uint8))))


def to_eight_bit(pixels: Pixels) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return an 8-bit copy of an image, scaled by its maximum and truncated to integers.

    Args:
        pixels: (h, w) uint16, [0, 65535].

    Returns:
        (h, w) uint8, [0, 255]: 255 is the image's brightest pixel.
    """
    top = int(pixels.max()) if pixels.size else 0
    return np.take(_eight_bit_levels(top), pixels)


def statistics(pixels: Pixels) -> dict[str, float]:
    """Return the statistics of an image that a frame needs, in one pass.

    Args:
        pixels: (h, w) uint16, [0, 65535].

    Returns:
        `mean`, `standard_deviation`, `minimum` and `maximum`, [0, 65535]; and the means after
        equalization, [0, 255]: `equalized_mean` (after `equalize_hist`) and
        `equalized_image_max_mean` (after `to_eight_bit` and `equalize_hist`).
    """
    counts = np.bincount(pixels.ravel(), minlength=FULL_RANGE + 1)
    levels, squares, coarse = _levels()
    total = max(int(counts.sum()), 1)
    present = np.flatnonzero(counts)
    low, high = (int(present[0]), int(present[-1])) if present.size else (0, 0)
    # Integers: exact below 2 * 10**9 pixels.
    mean = int(counts @ levels) / total
    square = int(counts @ squares) / total
    by_range = np.bincount(coarse, counts, 256)
    by_maximum = np.bincount(_eight_bit_levels(high), counts[: high + 1], 256)
    return {
        "mean": mean,
        "standard_deviation": max(square - mean * mean, 0.0) ** 0.5,
        "minimum": low,
        "maximum": high,
        "equalized_mean": _equalized_mean(by_range),
        "equalized_image_max_mean": _equalized_mean(by_maximum),
    }


@functools.cache
def _levels() -> tuple[Any, Any, Any]:
    """Return all gray levels, their squares, and the 8-bit level of each, (65536,) int64."""
    levels = np.arange(FULL_RANGE + 1, dtype=np.int64)
    return levels, levels * levels, levels // 257


def _eight_bit_levels(top: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the 8-bit level of each level from 0 to `top`, (top + 1,) uint8."""
    return (np.arange(top + 1, dtype=np.float64) * 255 / max(top, 1)).astype(np.uint8)


def _equalized_mean(counts: np.ndarray[Any, np.dtype[Any]]) -> float:
    """Return the mean of the cv2.equalizeHist of an image with these 256 counts."""
    total = counts.sum()
    present = np.flatnonzero(counts)
    if present.size <= 1:  # not changed by cv2.equalizeHist
        return float(present[0]) if present.size else 0.0
    above = np.cumsum(counts) - counts[present[0]]
    levels = np.rint(above * 255 / (total - counts[present[0]]))
    return float(counts[present] @ levels[present] / total)
