"""Separate the breast from film labels and background."""

from typing import Any

import numpy as np

from mammo_core.errors import RecipeError
from mammo_core.imaging.gray_measures import measure_gray_levels
from mammo_core.imaging.options import FULL_RANGE

#: Share of a picture that has the level of a background, and how far that is above the darkest
#: level, as a share of the range in use.
_BACKGROUND_SHARE = 0.1
_NEAR_BLACK = 0.2

Pixels = np.ndarray[tuple[int, ...], np.dtype[Any]]
Mask = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
Box = tuple[int, int, int, int]


def segment_breast(
    img: Pixels, low_int_threshold: float = 0.05, crop: bool = True, background: int = 0
) -> tuple[Pixels, Box]:
    """Keep the largest bright object of a mammogram and set the rest to black.

    Same result as `segment_breast` of the original (docs/original-system.md, "Breast
    segmentation"): 8-bit copy scaled by the image's maximum, threshold, filled contour of the
    largest area. Removes film labels and markers outside the breast.

    Args:
        img: (h, w) uint8, uint16 or float32, at least 0.
        low_int_threshold: Fraction of the maximum that the breast exceeds; from 1 on, an
            absolute level of the 8-bit copy.
        crop: Whether to crop to the breast's bounding box.
        background: Level of the background; the threshold is a fraction of what is above it.

    Returns:
        The image, dtype kept, and the box (x, y, width, height) in pixels of `img`.

    Raises:
        RecipeError: No object exceeds the threshold.
    """
    mask, box = breast_mask(img, low_int_threshold, background)
    breast = np.where(mask, img, np.zeros((), img.dtype))
    if crop:
        x, y, width, height = box
        breast = breast[y : y + height, x : x + width]
    return breast, box


def breast_mask(
    img: Pixels, low_int_threshold: float = 0.05, background: int = 0
) -> tuple[Mask, Box]:
    """Return the mask of the breast: the filled contour of the largest bright object.

    Args:
        img: (h, w) uint8, uint16 or float32, at least 0.
        low_int_threshold: As in `segment_breast`.
        background: As in `segment_breast`.

    Returns:
        The mask, (h, w) bool, and its bounding box (x, y, width, height) in pixels.

    Raises:
        RecipeError: No object exceeds the threshold.
    """
    import cv2

    if background:
        img = np.where(img > background, img - np.asarray(background, img.dtype), 0).astype(
            img.dtype
        )
    top = float(img.max()) if img.size else 0.0
    contours: Any = ()
    if img.ndim == 2 and top > 0:
        binary = _above(img, top, low_int_threshold)
        contours, _ = cv2.findContours(binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        raise RecipeError(
            "No breast was found",
            expected=f"a gray image with an object above the threshold {low_int_threshold}",
            received=f"shape {img.shape}, maximum {top:g}",
        )
    largest = max(contours, key=cv2.contourArea)
    filled = np.zeros(img.shape, np.uint8)
    cv2.drawContours(filled, [largest], -1, 255, -1)
    x, y, width, height = cv2.boundingRect(largest)
    return filled > 0, (int(x), int(y), int(width), int(height))


def _above(img: Pixels, top: float, low_int_threshold: float) -> Any:
    """Threshold the 8-bit copy of an image: (h, w) uint8, 0 or 1."""
    # float64, truncated and not rounded: the boxes of the original depend on it. The brightest
    # pixel becomes 255.
    level = int(low_int_threshold) if low_int_threshold >= 1 else int(255 * low_int_threshold)
    if img.dtype in (np.uint8, np.uint16):
        # The copy is monotonic in the level: compare with the first level that exceeds the
        # threshold, without making the copy.
        eight_bit = (np.arange(int(top) + 1, dtype=np.float64) / top * 255).astype(np.uint8)
        first = int(np.searchsorted(eight_bit, level, side="right"))
        if first > top:
            return np.zeros(img.shape, np.uint8)
        return (img >= first).view(np.uint8)
    return ((img.astype(np.float64) / top * 255).astype(np.uint8) > level).view(np.uint8)


def background_level(pixels: Pixels, threshold: float = 0.05) -> int:
    """Return the level of a background that is not black, which hides the breast's outline.

    Args:
        pixels: (h, w) uint16, [0, 65535].
        threshold: Fraction of the image's brightest levels above which a background hides it.

    Returns:
        A level, [0, 65535]; 0 for a background below the threshold, which needs no attention.
    """
    measures = measure_gray_levels(pixels, 16)
    hides = measures.background > threshold * measures.high
    # A flat part of a breast that fills the picture is not a background.
    above_black = measures.background - measures.low
    is_background = (
        measures.background_share >= _BACKGROUND_SHARE
        and above_black < _NEAR_BLACK * measures.used_range
    )
    return round(measures.background * FULL_RANGE) if hides and is_background else 0


def breast_share(patch: Pixels, threshold: float = 0.05) -> float:
    """Return the fraction of a patch that is tissue rather than black background.

    Args:
        patch: (h, w) uint16, [0, 65535]; or bool, a crop of `breast_mask`.
        threshold: Fraction of the full range that tissue exceeds; not used for a mask.

    Returns:
        A fraction, [0, 1]; 0 for an empty patch.
    """
    if patch.size == 0:
        return 0.0
    tissue = patch if patch.dtype == np.bool_ else patch > threshold * FULL_RANGE
    return float(np.count_nonzero(tissue) / patch.size)
