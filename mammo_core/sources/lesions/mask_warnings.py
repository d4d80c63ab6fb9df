"""What is odd about the mask of a lesion: several levels, an inversion, most of the breast."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from mammo_core.errors import DicomError, RecipeError
from mammo_core.imaging import breast_mask, resize_mask

#: Share of the picture below which a lesion cannot cover most of a breast, so that its mammogram
#: needs no decoding: a breast covers a twelfth of the picture or more.
_SMALL: Final = 0.04
#: Share of the breast from which a lesion is reported.
_MOST: Final = 0.5

Levels = np.ndarray[Any, np.dtype[Any]]


def mask_warnings(levels: Levels, read_pixels: Callable[[], Levels]) -> tuple[str, ...]:
    """Return what is odd about a mask, one sentence each.

    Args:
        levels: `(h, w)` bool or uint16: the levels of the mask, above 0 in the lesion.
        read_pixels: Returns the pixels of the mammogram, `(h, w) uint16`; only called for a
            large lesion.
    """
    lesion = levels > 0
    warnings: list[str] = []
    count = 2
    if levels.dtype != np.bool_:
        count = int(np.count_nonzero(np.bincount(levels.ravel())))
    if count > 2:
        warnings.append(f"The mask has {count} gray levels; every one above 0 counts as lesion.")
    share = float(lesion.mean())
    corners = lesion[[0, 0, -1, -1], [0, -1, 0, -1]]
    if share > _MOST and corners.all():
        warnings.append(
            f"The mask is inverted, or is none: {share:.0%} of the picture and its corners are "
            "lesion."
        )
    elif share > _SMALL:
        warnings += _breast_warning(lesion, read_pixels)
    return tuple(warnings)


def _breast_warning(lesion: Levels, read_pixels: Callable[[], Levels]) -> list[str]:
    try:
        breast, _ = breast_mask(read_pixels())
    except (DicomError, RecipeError):
        return []  # the conversion reports what is wrong with the mammogram
    if lesion.shape != breast.shape:
        lesion = resize_mask(lesion, breast.shape[0], breast.shape[1])
    share = float((lesion & breast).sum() / breast.sum())
    return [f"The lesion covers {share:.0%} of the breast."] if share > _MOST else []
