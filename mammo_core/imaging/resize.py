"""Bring an image or a mask to the geometry a network expects."""

from typing import Any, Literal

import numpy as np

from mammo_core.errors import RecipeError

Resize = Literal["forced", "height", "pad"]
Interpolation = Literal["area", "cubic", "linear"]
MaskInterpolation = Literal["nearest", "cubic"]

Pixels = np.ndarray[tuple[int, ...], np.dtype[Any]]


def output_size(
    size: tuple[int, int], height: int, width: int, mode: Resize
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the size of the scaled picture and the size of what is handed back.

    They differ in mode `pad` only. Coordinates of the source map to the result by the
    ratio of the first size to `size`: the picture always starts at row 0, column 0.

    Args:
        size: (rows, columns) of the source.
        height: Rows asked for.
        width: Columns asked for; not used in mode `height`.
        mode: `forced` (the aspect ratio is not kept), `height` (it is kept, the width
            follows as int(height / rows * columns): original system, read_resize_img) or
            `pad` (it is kept, zeros fill the rest at the bottom and at the right).

    Returns:
        ((rows, columns) of the picture, (rows, columns) of the result).

    Raises:
        RecipeError: A size below one pixel, or an unknown mode.
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
        picture = (
            min(height, max(1, round(rows * scale))),
            min(width, max(1, round(columns * scale))),
        )
        return picture, (height, width)
    raise RecipeError("Unknown resize mode", expected="forced, height or pad", received=repr(mode))


def resize(
    pixels: Pixels,
    height: int,
    width: int,
    mode: Resize = "forced",
    interpolation: Interpolation = "area",
) -> Pixels:
    """Resize an image, keeping its dtype; an image of the right size comes back untouched.

    `area` averages the covered pixels where the image shrinks (no aliasing) and is linear
    along an axis that grows. `cubic` is what the original system used; it overshoots and
    is clipped to the dtype.

    Args:
        pixels: (h, w) uint8, uint16 or float32.
        height: Rows asked for.
        width: Columns asked for; not used in mode `height`.
        mode: See `output_size`.
        interpolation: `area`, `cubic` or `linear`.

    Returns:
        (height, width), dtype of `pixels`; in mode `height` the width follows.

    Raises:
        RecipeError: Not a two-dimensional image, or a size, mode or interpolation that
            cannot be.
    """
    import cv2

    picture, result = _sizes(pixels, height, width, mode)
    codes = {"area": cv2.INTER_AREA, "cubic": cv2.INTER_CUBIC, "linear": cv2.INTER_LINEAR}
    if interpolation not in codes:
        raise RecipeError(
            "Unknown interpolation", expected=", ".join(codes), received=repr(interpolation)
        )
    code = codes[interpolation]
    rows, columns = pixels.shape
    if interpolation == "area" and (picture[0] > rows or picture[1] > columns):
        # OpenCV's area mode repeats pixels when it enlarges: shrink first, then go linear.
        pixels = _scale(pixels, (min(rows, picture[0]), min(columns, picture[1])), code)
        code = cv2.INTER_LINEAR
    return _pad(_scale(pixels, picture, code), result)


def resize_mask(
    mask: Pixels,
    height: int,
    width: int,
    mode: Resize = "forced",
    interpolation: MaskInterpolation = "nearest",
) -> Pixels:
    """Resize a mask; by the nearest neighbour no value appears that was not there.

    Args:
        mask: (h, w) uint8, uint16 or bool.
        height: Rows asked for.
        width: Columns asked for; not used in mode `height`.
        mode: See `output_size`.
        interpolation: `nearest`, or `cubic` as the original: it resized masks of 0 and 255
            like images, and took what was above 0.

    Returns:
        (height, width), dtype of `mask`; in mode `height` the width follows.

    Raises:
        RecipeError: Not a two-dimensional mask, or a size or mode that cannot be.
    """
    import cv2

    picture, result = _sizes(mask, height, width, mode)
    flags = mask.astype(np.uint8) if mask.dtype == np.bool_ else mask
    if interpolation == "cubic":
        full = np.where(flags > 0, np.uint8(255), np.uint8(0))
        return (_pad(_scale(full, picture, cv2.INTER_CUBIC), result) > 0).astype(mask.dtype)
    # INTER_NEAREST_EXACT samples at pixel centres as area averaging does; plain
    # INTER_NEAREST is shifted by up to half a pixel.
    scaled = _pad(_scale(flags, picture, cv2.INTER_NEAREST_EXACT), result)
    return scaled.astype(mask.dtype)


def _sizes(
    pixels: Pixels, height: int, width: int, mode: Resize
) -> tuple[tuple[int, int], tuple[int, int]]:
    if pixels.ndim != 2:
        raise RecipeError(
            "Only gray images are resized", expected="(h, w)", received=f"shape {pixels.shape}"
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
