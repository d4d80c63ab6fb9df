"""Circles and polygons around lesions, as mask paths.

- `circle:x,y,radius`: a circle around a pixel (MIAS);
- `polygon:x,y,x,y,x,y`: the corners of a filled outline (BCDR).

Numbers are whole pixels of the mammogram, from the left and the top.
"""

import re
from typing import Any, Final

import numpy as np

from mammo_core.errors import DicomError

CIRCLE: Final = "circle:"
POLYGON: Final = "polygon:"
#: Corners of an outline: radiologists draw some hundred.
_MAXIMUM_CORNERS: Final = 5_000

Mask = np.ndarray[Any, np.dtype[np.bool_]]


def outline_text(cell: str) -> str | None:
    """Return a circle or polygon as a mask path, or None when the text is neither.

    Args:
        cell: Whole numbers, separated by commas, blanks or ';': x, y and radius, or x and y of
            three corners or more.
    """
    numbers = re.split(r"[\s,;]+", cell.strip().strip("()[]").strip())
    if not all(re.fullmatch(r"\d{1,5}", number) for number in numbers):
        return None
    values = [int(number) for number in numbers]
    if len(values) == 3:
        return f"{CIRCLE}{','.join(map(str, values))}" if values[2] else None
    if len(values) % 2 or not 6 <= len(values) <= 2 * _MAXIMUM_CORNERS:
        return None
    return f"{POLYGON}{','.join(map(str, values))}"


def draw_outline(mask_path: str, rows: int, columns: int) -> Mask:
    """Return the mask of a circle or polygon; what lies beyond the mammogram is cut off.

    Args:
        mask_path: See the module.
        rows: Rows of the mammogram.
        columns: Columns of the mammogram.

    Returns:
        (rows, columns) bool, at least one pixel true.

    Raises:
        DicomError: A corner, or the center of a circle, is outside the mammogram.
    """
    import cv2

    kind, _, text = mask_path.partition(":")
    numbers = [int(number) for number in text.split(",")]
    points = numbers[:2] if f"{kind}:" == CIRCLE else numbers
    corners = np.array(points, np.int32).reshape(-1, 2)
    if (corners >= (columns, rows)).any():
        raise DicomError(
            f"The {kind} of a lesion extends beyond its mammogram",
            expected=f"x below {columns}, y below {rows}",
            received=f"x up to {corners[:, 0].max()}, y up to {corners[:, 1].max()}",
        )
    if f"{kind}:" == CIRCLE:
        (x, y), radius = corners[0], numbers[2]
        vertical, horizontal = np.ogrid[:rows, :columns]
        return np.asarray((horizontal - x) ** 2 + (vertical - y) ** 2 <= radius**2)
    canvas = np.zeros((rows, columns), np.uint8)
    cv2.fillPoly(canvas, [corners], 1)
    return canvas.astype(np.bool_)
