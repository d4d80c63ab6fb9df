"""Bright blobs: what a network easily takes for a lesion."""

from typing import Any

import numpy as np
import numpy.typing as npt


def blob_centres(
    pixels: npt.NDArray[np.uint16], patch_size: int, draw: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return the centres of bright blobs in random order.

    Args:
        pixels: `(h, w) uint16, [0, 65535]`.
        patch_size: Blobs are no larger than a patch of this side (pixels).
        draw: Gives the order.

    Returns:
        `(n, 2) int64`, row and column (pixels).

    Source: the original's detector settings (original-system.md §3.5).
    """
    import cv2

    detectors: Any = cv2  # its stubs lack the detector
    settings = detectors.SimpleBlobDetector_Params()
    settings.filterByArea = True
    settings.minArea, settings.maxArea = 3, patch_size**2
    settings.filterByCircularity = settings.filterByColor = False
    settings.filterByConvexity = settings.filterByInertia = False
    settings.minThreshold, settings.maxThreshold, settings.thresholdStep = 127, 242, 10
    scaled = (pixels * (255.0 / max(int(pixels.max()), 1))).astype(np.uint8)
    points = detectors.SimpleBlobDetector_create(settings).detect(scaled)
    centres = np.array([[int(p.pt[1]), int(p.pt[0])] for p in points], np.int64).reshape(-1, 2)
    return centres[draw.permutation(len(centres))]
