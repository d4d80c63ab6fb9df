"""Bright blobs: what a network easily takes for a lesion."""

from typing import Any

import numpy as np
import numpy.typing as npt


def blob_centres(
    pixels: npt.NDArray[np.uint16], patch_size: int, margin: int = 0
) -> npt.NDArray[np.int64]:
    """Return the centres of bright blobs, in the detector's order.

    Args:
        pixels: `(h, w) uint16, [0, 65535]`.
        patch_size: Blobs are no larger than a patch of this side (pixels).
        margin: Black pixels put around the image while blobs are sought (the original's
            images were padded by half a patch).

    Returns:
        `(n, 2) int64`, row and column (pixels of `pixels`).

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
    scaled = cv2.copyMakeBorder(
        eight_bit(pixels), margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0
    )
    points = detectors.SimpleBlobDetector_create(settings).detect(scaled)
    centres = np.array([[int(p.pt[1]), int(p.pt[0])] for p in points], np.int64).reshape(-1, 2)
    return centres - margin


def eight_bit(pixels: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """Scale an image by its maximum to 8 bits, cut as the original does.

    Args:
        pixels: `(h, w) uint16, [0, 65535]`.

    Returns:
        `(h, w) uint8, [0, 255]`.
    """
    top = int(pixels.max()) if pixels.size else 0
    # A table of all levels: dividing every pixel takes twenty times as long.
    levels = np.arange(top + 1, dtype=np.float64) / max(top, 1) * 255
    return np.asarray(levels.astype(np.uint8)[pixels])
