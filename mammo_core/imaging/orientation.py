"""Flip images so that all breasts are on the same side."""

from typing import Any, Literal

import numpy as np

from mammo_core.imaging.gray_measures import measure_gray_levels
from mammo_core.imaging.options import Orientation

Pixels = np.ndarray[tuple[int, ...], np.dtype[Any]]


def chest_side(pixels: Pixels) -> Literal["left", "right"]:
    """Return the side of the image with most of the tissue: that of the chest wall.

    Args:
        pixels: (h, w) uint8 or uint16; background is black.

    Returns:
        The side; `left` if both halves have the same sum.
    """
    columns = pixels.sum(axis=0, dtype=np.float64)
    half = columns.size // 2
    return "right" if columns[columns.size - half :].sum() > columns[:half].sum() else "left"


def needs_flip(pixels: Pixels, laterality: str, orientation: Orientation) -> bool:
    """Whether an image must be mirrored to have the chest wall on the given side.

    The tissue decides, whatever a header says: pictures are stored mirrored, too. Where it is
    unclear, the laterality does: mammograms are displayed with the chest wall of the left breast
    on the left and of the right breast on the right.

    Args:
        pixels: (h, w) uint16, [0, 65535].
        laterality: `LEFT`, `RIGHT`, or anything else for unknown.
        orientation: Where the chest wall shall be; `as_stored` never flips.
    """
    if orientation == "as_stored":
        return False
    tissue = measure_gray_levels(pixels, 16).chest_wall
    usual = {"LEFT": "left", "RIGHT": "right"}.get(laterality)
    side = tissue if tissue in ("left", "right") else usual or chest_side(pixels)
    return f"chest_{side}" != orientation
