"""Bright blobs: what a network easily takes for a lesion."""

from typing import Any

import numpy as np
import numpy.typing as npt

#: The detector compares every blob with every other. An image with more bright spots than this
#: (film grain) is searched in tiles of so many pixels a side.
_SPOTS = 10_000
_TILE = 512
_MIDDLE_LEVEL = 187


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

    scaled = cv2.copyMakeBorder(
        eight_bit(pixels), margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0
    )
    return _detect(scaled, patch_size) - margin


def blob_centres_of_any_number(
    pixels: npt.NDArray[np.uint16], patch_size: int
) -> npt.NDArray[np.int64]:
    """Return the centres of bright blobs, in a time that does not explode with their number.

    The same as `blob_centres`, but for images with very many bright spots: there, wide blobs
    can be missed where two tiles meet.

    Args:
        pixels: `(h, w) uint16, [0, 65535]`.
        patch_size: Blobs are no larger than a patch of this side (pixels).

    Returns:
        `(n, 2) int64`, row and column (pixels).
    """
    import cv2

    scaled = eight_bit(pixels)
    spots, _ = cv2.connectedComponents((scaled > _MIDDLE_LEVEL).view(np.uint8))
    if spots <= _SPOTS:
        return _detect(scaled, patch_size)
    height, width = scaled.shape
    around = patch_size // 4
    found = []
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            start = np.array([max(top - around, 0), max(left - around, 0)])
            tile = scaled[start[0] : top + _TILE + around, start[1] : left + _TILE + around]
            centres = _detect(np.ascontiguousarray(tile), patch_size) + start
            mine = (centres // _TILE == (top // _TILE, left // _TILE)).all(axis=1)
            found.append(centres[mine])
    return np.concatenate(found)


def _detect(scaled: npt.NDArray[np.uint8], patch_size: int) -> npt.NDArray[np.int64]:
    import cv2

    detectors: Any = cv2  # its stubs lack the detector
    settings = detectors.SimpleBlobDetector_Params()
    settings.filterByArea = True
    settings.minArea, settings.maxArea = 3, patch_size**2
    settings.filterByCircularity = settings.filterByColor = False
    settings.filterByConvexity = settings.filterByInertia = False
    settings.minThreshold, settings.maxThreshold, settings.thresholdStep = 127, 242, 10
    points = detectors.SimpleBlobDetector_create(settings).detect(scaled)
    return np.array([[int(p.pt[1]), int(p.pt[0])] for p in points], np.int64).reshape(-1, 2)


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
