"""Bring all breasts to one side of the image."""

from typing import Any, Literal

import numpy as np

Orientation = Literal["as_stored", "chest_left", "chest_right"]
Pixels = np.ndarray[tuple[int, ...], np.dtype[Any]]


def chest_side(pixels: Pixels) -> Literal["left", "right"]:
    """Return the side of the image at which most of the tissue is: the chest wall's.

    Args:
        pixels: (h, w) uint8 or uint16; background is black.

    Returns:
        `left` also where both halves weigh the same.
    """
    columns = pixels.sum(axis=0, dtype=np.float64)
    half = columns.size // 2
    return "right" if columns[columns.size - half :].sum() > columns[:half].sum() else "left"


def needs_flip(pixels: Pixels, laterality: str, orientation: Orientation) -> bool:
    """Say whether an image is to be mirrored to have the chest wall where it is wanted.

    Mammograms hang with the chest wall of the left breast at the left and of the right
    breast at the right, so the laterality decides; where it is unknown, the tissue does.

    Args:
        pixels: (h, w) uint8 or uint16.
        laterality: `LEFT`, `RIGHT`, or anything else for unknown.
        orientation: Where the chest wall is wanted; `as_stored` never flips.
    """
    if orientation == "as_stored":
        return False
    side = {"LEFT": "left", "RIGHT": "right"}.get(laterality) or chest_side(pixels)
    return f"chest_{side}" != orientation
