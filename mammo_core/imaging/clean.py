"""Remove from a mammogram what is not breast: film noise, labels, the pectoral muscle.

The algorithms are those of DMImagePreprocessor (dm_preprocess.py) of the original, but masks are
bool, and the returned pixels keep the values of the image.
"""

from typing import Any

import numpy as np

from mammo_core.errors import RecipeError

Pixels = np.ndarray[tuple[int, ...], np.dtype[Any]]
Mask = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def median_filter(pixels: Pixels, size: int = 3) -> Pixels:
    """Replace each pixel by the median of its neighborhood.

    Args:
        pixels: (h, w) uint8 or uint16.
        size: Side of the neighborhood, 3 or 5 pixels.

    Returns:
        (h, w), dtype kept.

    Raises:
        RecipeError: Another size.
    """
    import cv2

    if size not in (3, 5):
        raise RecipeError(
            "The size of the median filter is not supported",
            expected="3 or 5 pixels",
            received=f"{size}",
        )
    return np.asarray(cv2.medianBlur(np.ascontiguousarray(pixels), size))


def largest_object(
    binary: Mask, *, fill_holes: bool = False, smooth_boundary: bool = False, kernel_size: int = 15
) -> Mask:
    """Return the largest of the 8-connected objects of a binary image.

    Args:
        binary: (h, w) bool.
        fill_holes: Whether background enclosed by the object is added to it.
        smooth_boundary: Whether a morphological opening with a square is applied last.
        kernel_size: Side of that square in pixels.

    Returns:
        (h, w) bool; all false if the image has no object.
    """
    import cv2

    count, labels, statistics, _ = cv2.connectedComponentsWithStats(
        np.ascontiguousarray(binary).view(np.uint8), connectivity=8
    )
    if count < 2:
        return np.zeros(binary.shape, np.bool_)
    largest = np.asarray(labels == 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA])))
    if fill_holes:
        # Background that is not connected to the outside is a hole; a margin of one pixel connects
        # all of the outside.
        background = np.pad(~largest, 1, constant_values=True).view(np.uint8)
        _, parts = cv2.connectedComponents(background, connectivity=4)
        largest = np.asarray(parts != parts[0, 0])[1:-1, 1:-1]
    if smooth_boundary:
        largest = _morphology("open", largest, kernel_size)
    return largest


def suppress_artifacts(
    pixels: Pixels, global_threshold: float = 0.05, kernel_size: int = 15, background: int = 0
) -> tuple[Pixels, Mask]:
    """Keep the largest object above a threshold, with filled holes and a smooth outline.

    Args:
        pixels: (h, w) uint8 or uint16.
        global_threshold: Fraction of the image's maximum that the breast exceeds; from 1 on, an
            absolute gray level.
        kernel_size: Side of the square that smooths the outline, in pixels.
        background: Level of the background; the threshold is a fraction of what is above it.

    Returns:
        The image with everything else black, dtype kept, and the breast's mask, (h, w) bool.

    Raises:
        RecipeError: No object exceeds the threshold.
    """
    top = int(pixels.max()) if pixels.size else 0
    share = (top - background) * global_threshold
    level = background + int(global_threshold if global_threshold >= 1 else share)
    breast = largest_object(
        pixels > level, fill_holes=True, smooth_boundary=True, kernel_size=kernel_size
    )
    if not breast.any():
        raise RecipeError(
            "No breast was found",
            expected=f"a gray image with an object above the threshold {global_threshold}",
            received=f"shape {pixels.shape}, maximum {top}",
        )
    return _masked(pixels, breast), breast


def remove_pectoral(
    pixels: Pixels,
    breast: Mask,
    high_int_threshold: float = 0.8,
    morph_kn_size: int = 3,
    n_morph_op: int = 7,
    sm_kn_size: int = 25,
) -> tuple[Pixels, Mask]:
    """Set the pectoral muscle to black. Experimental: no published result depends on it.

    A watershed from three markers on the equalized image: certainly muscle (the largest bright
    object, eroded), certainly breast (outside the same object, dilated) and certainly
    background. On an image without a muscle it may remove a dense part of the breast.

    Args:
        pixels: (h, w) uint8 or uint16.
        breast: (h, w) bool, of `suppress_artifacts`.
        high_int_threshold: Fraction of the equalized image's maximum that the muscle exceeds;
            from 1 on, a gray level of 0 to 255.
        morph_kn_size: Side of the square of erosion and dilation, in pixels.
        n_morph_op: Number of erosions and of dilations.
        sm_kn_size: Side of the square that smooths the result, in pixels.

    Returns:
        The image with everything but the breast black, dtype kept, and the mask of the pixels
        that are kept, (h, w) bool.
    """
    import cv2

    from mammo_core.imaging.intensity import equalize_hist

    top = max(int(pixels.max()) if pixels.size else 0, 1)
    gray = equalize_hist((pixels.astype(np.float32) * (255 / top)).astype(np.uint8))
    level = high_int_threshold if high_int_threshold >= 1 else int(gray.max()) * high_int_threshold
    muscle = largest_object(gray > int(level), fill_holes=True)
    certain = _morphology("erode", muscle, morph_kn_size, n_morph_op)
    markers = np.where(certain, 255, 0).astype(np.int32)
    markers[~_morphology("dilate", muscle, morph_kn_size, n_morph_op)] = 128
    markers[~breast] = 64
    regions = cv2.watershed(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), markers)
    kept = _morphology("open", np.asarray(regions == 128), sm_kn_size)
    return _masked(pixels, kept), kept


def _masked(pixels: Pixels, mask: Mask) -> Pixels:
    return np.where(mask, pixels, np.zeros((), pixels.dtype))


def _morphology(operation: str, mask: Mask, size: int, times: int = 1) -> Mask:
    import cv2

    codes = {"open": cv2.MORPH_OPEN, "erode": cv2.MORPH_ERODE, "dilate": cv2.MORPH_DILATE}
    kernel = np.ones((size, size), np.uint8)
    result = cv2.morphologyEx(mask.view(np.uint8), codes[operation], kernel, iterations=times)
    return np.asarray(result, dtype=np.uint8) > 0
