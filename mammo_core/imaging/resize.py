"""Resize an image or a mask to the geometry that a network expects."""

from typing import Any

import numpy as np

from mammo_core.errors import RecipeError
from mammo_core.imaging.options import Interpolation, MaskInterpolation, Resize

Pixels = np.ndarray[tuple[int, ...], np.dtype[Any]]


def output_size(
    size: tuple[int, int], height: int, width: int, mode: Resize
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the size of the scaled image and the size of the result.

    They differ in mode `pad` only. Coordinates of the source map to the result by the ratio of
    the first size to `size`: the scaled image always starts at row 0, column 0.

    Args:
        size: (rows, columns) of the source.
        height: Rows of the result.
        width: Columns of the result; not used in mode `height`.
        mode: `forced` (the aspect ratio is not kept), `height` (it is kept, the width
            follows as int(height / rows * columns), as read_resize_img of the original) or
            `pad` (it is kept, zeros fill the rest at the bottom and on the right).

    Returns:
        ((rows, columns) of the scaled image, (rows, columns) of the result).

    Raises:
        RecipeError: A size is below one pixel, or the mode is unknown.
    """
    rows, columns = size
    if min(rows, columns, height, width) < 1:
        raise RecipeError(
            "An image cannot be resized",
            expected="at least one row and one column on both sides",
            received=f"{rows}x{columns} to {height}x{width}",
        )
    if mode == "forced":
        return (height, width), (height, width)
    if mode == "height":
        kept = (height, max(1, int(height / rows * columns)))
        return kept, kept
    if mode == "pad":
        scale = min(height / rows, width / columns)
        scaled = (
            min(height, max(1, round(rows * scale))),
            min(width, max(1, round(columns * scale))),
        )
        return scaled, (height, width)
    raise RecipeError("Unknown resize mode", expected="forced, height or pad", received=repr(mode))


def resize(
    pixels: Pixels,
    height: int,
    width: int,
    mode: Resize = "forced",
    interpolation: Interpolation = "area",
) -> Pixels:
    """Resize an image, keeping its dtype; an image of the right size is returned unchanged.

    `area` averages the covered pixels along an axis that shrinks (no aliasing) and is linear
    along an axis that grows. `cubic`, used by the original, overshoots and is clipped to the
    dtype.

    Args:
        pixels: (h, w) uint8, uint16 or float32.
        height: Rows of the result.
        width: Columns of the result; not used in mode `height`.
        mode: See `output_size`.
        interpolation: `area`, `cubic` or `linear`.

    Returns:
        (height, width), dtype of `pixels`; in mode `height` the width follows.

    Raises:
        RecipeError: The image is not two-dimensional, a size is below one pixel, or the mode or
            interpolation is unknown.
    """
    import cv2

    scaled_size, result_size = _sizes(pixels, height, width, mode)
    codes = {"area": cv2.INTER_AREA, "cubic": cv2.INTER_CUBIC, "linear": cv2.INTER_LINEAR}
    if interpolation not in codes:
        raise RecipeError(
            "Unknown interpolation", expected=", ".join(codes), received=repr(interpolation)
        )
    code = codes[interpolation]
    rows, columns = pixels.shape
    if interpolation == "area" and (scaled_size[0] > rows or scaled_size[1] > columns):
        # OpenCV's area mode repeats pixels when it enlarges: shrink first, then enlarge linearly.
        pixels = _scale(pixels, (min(rows, scaled_size[0]), min(columns, scaled_size[1])), code)
        code = cv2.INTER_LINEAR
    return _pad(_scale(pixels, scaled_size, code), result_size)


def resize_mask(
    mask: Pixels,
    height: int,
    width: int,
    mode: Resize = "forced",
    interpolation: MaskInterpolation = "nearest",
) -> Pixels:
    """Resize a mask; the nearest neighbor introduces no new values.

    Args:
        mask: (h, w) uint8, uint16 or bool.
        height: Rows of the result.
        width: Columns of the result; not used in mode `height`.
        mode: See `output_size`.
        interpolation: `nearest`, or `cubic` as the original: masks of 0 and 255 are resized like
            images, and every value above 0 counts.

    Returns:
        (height, width), dtype of `mask`; in mode `height` the width follows.

    Raises:
        RecipeError: The mask is not two-dimensional, a size is below one pixel, or the mode is
            unknown.
    """
    import cv2

    scaled_size, result_size = _sizes(mask, height, width, mode)
    flags = mask.astype(np.uint8) if mask.dtype == np.bool_ else mask
    if interpolation == "cubic":
        full = np.where(flags > 0, np.uint8(255), np.uint8(0))
        return (_pad(_scale(full, scaled_size, cv2.INTER_CUBIC), result_size) > 0).astype(
            mask.dtype
        )
    # INTER_NEAREST_EXACT samples at pixel centers as area averaging does; plain
    # INTER_NEAREST is shifted by up to half a pixel.
    scaled = _pad(_scale(flags, scaled_size, cv2.INTER_NEAREST_EXACT), result_size)
    return scaled.astype(mask.dtype)


def _sizes(
    pixels: Pixels, height: int, width: int, mode: Resize
) -> tuple[tuple[int, int], tuple[int, int]]:
    if pixels.ndim != 2:
        raise RecipeError(
            "Only gray images can be resized", expected="(h, w)", received=f"shape {pixels.shape}"
        )
    return output_size((pixels.shape[0], pixels.shape[1]), height, width, mode)


def _scale(pixels: Pixels, size: tuple[int, int], code: int) -> Pixels:
    import cv2

    if pixels.shape == size:
        return pixels
    return np.asarray(cv2.resize(pixels, (size[1], size[0]), interpolation=code))


def _pad(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    if pixels.shape == size:
        return pixels
    padded = np.zeros(size, pixels.dtype)
    padded[: pixels.shape[0], : pixels.shape[1]] = pixels
    return padded
