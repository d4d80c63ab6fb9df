"""The largest contour of a lesion mask."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class LargestContour:
    """Bounding box and centroid (row, column) of a mask's largest contour, in pixels."""

    top: int
    left: int
    height: int
    width: int
    centroid: tuple[int, int]


def largest_contour(mask: npt.NDArray[np.bool_]) -> LargestContour | None:
    """Return the contour with the largest area; None for an empty mask.

    Args:
        mask: `(h, w) bool`, true inside the lesion.

    Source: the original uses box and centroid of the same contour (docs/original-system.md,
    "Patch sampling").
    """
    import cv2

    bits = np.ascontiguousarray(mask).view(np.uint8)
    left, top, width, height = cv2.boundingRect(bits)
    inside = np.ascontiguousarray(bits[top : top + height, left : left + width])
    if not inside.size:
        return None
    contours, _ = cv2.findContours(
        inside, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE, offset=(left, top)
    )
    largest = max(contours, key=cv2.contourArea)
    left, top, width, height = cv2.boundingRect(largest)
    moments = cv2.moments(largest)
    if moments["m00"]:
        # Truncated, not rounded, like in the original.
        centroid = (
            int(moments["m01"] / moments["m00"]),
            int(moments["m10"] / moments["m00"]),
        )
    else:
        centroid = (top + height // 2, left + width // 2)
    return LargestContour(top, left, height, width, centroid)
