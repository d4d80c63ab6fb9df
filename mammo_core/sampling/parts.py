"""The largest part of a lesion mask."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Part:
    """The largest part of a mask: its box and centroid (row, column), in pixels."""

    top: int
    left: int
    height: int
    width: int
    centroid: tuple[int, int]


def largest_part(mask: npt.NDArray[np.bool_]) -> Part | None:
    """Find a mask's contour of the largest area; None when the mask is empty.

    Args:
        mask: `(h, w) bool`.

    Source: the original takes box and centroid of the same contour (original-system.md §3.4).
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
        # Cut, not rounded, as the original does.
        centroid = (
            int(moments["m01"] / moments["m00"]),
            int(moments["m10"] / moments["m00"]),
        )
    else:
        centroid = (top + height // 2, left + width // 2)
    return Part(top, left, height, width, centroid)
