"""Find bright blobs, which a network easily mistakes for lesions."""

from typing import Any

import numpy as np
import numpy.typing as npt

#: The detector compares every blob with every other. An image with more bright spots than this
#: (film grain) is searched in tiles of _TILE x _TILE pixels.
_MAX_SPOTS = 10_000
_TILE = 512
#: Gray level of a spot, of an image scaled to [0, 255].
_SPOT_LEVEL = 187


def blob_centers(
    pixels: npt.NDArray[np.uint16], patch_size: int, margin: int = 0
) -> npt.NDArray[np.int64]:
    """Return the centers of bright blobs, in the detector's order.

    Args:
        pixels: `(h, w) uint16, [0, 65535]`.
        patch_size: Blobs are no larger than a patch of this side (pixels).
        margin: Width of a black border that is added before the search (the original pads
            images by half a patch).

    Returns:
        `(n, 2) int64`, row and column (pixels of `pixels`).

    Source: the detector settings of the original (docs/original-system.md, "Patch sampling").
    """
    import cv2

    scaled = cv2.copyMakeBorder(
        eight_bit(pixels), margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0
    )
    return _detect(scaled, patch_size) - margin


def blob_centers_in_tiles(pixels: npt.NDArray[np.uint16], patch_size: int) -> npt.NDArray[np.int64]:
    """Return the centers of bright blobs, also of images with very many bright spots.

    The result equals that of `blob_centers` unless there are so many spots that the image is
    searched in tiles: then wide blobs at the borders of tiles can be missed.

    Args:
        pixels: `(h, w) uint16, [0, 65535]`.
        patch_size: Blobs are no larger than a patch of this side (pixels).

    Returns:
        `(n, 2) int64`, row and column (pixels).
    """
    import cv2

    scaled = eight_bit(pixels)
    spots, _ = cv2.connectedComponents((scaled > _SPOT_LEVEL).view(np.uint8))
    if spots <= _MAX_SPOTS:
        return _detect(scaled, patch_size)
    height, width = scaled.shape
    overlap = patch_size // 4
    centers = []
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            start = np.array([max(top - overlap, 0), max(left - overlap, 0)])
            tile = scaled[start[0] : top + _TILE + overlap, start[1] : left + _TILE + overlap]
            detected = _detect(np.ascontiguousarray(tile), patch_size) + start
            in_tile = (detected // _TILE == (top // _TILE, left // _TILE)).all(axis=1)
            centers.append(detected[in_tile])
    return np.concatenate(centers)


def _detect(scaled: npt.NDArray[np.uint8], patch_size: int) -> npt.NDArray[np.int64]:
    import cv2

    detectors: Any = cv2  # its type stubs lack the detector
    settings = detectors.SimpleBlobDetector_Params()
    settings.filterByArea = True
    settings.minArea, settings.maxArea = 3, patch_size**2
    settings.filterByCircularity = settings.filterByColor = False
    settings.filterByConvexity = settings.filterByInertia = False
    settings.minThreshold, settings.maxThreshold, settings.thresholdStep = 127, 242, 10
    points = detectors.SimpleBlobDetector_create(settings).detect(scaled)
    return np.array([[int(p.pt[1]), int(p.pt[0])] for p in points], np.int64).reshape(-1, 2)


def eight_bit(pixels: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """Scale an image by its maximum to 8 bits, truncated like in the original.

    Args:
        pixels: `(h, w) uint16, [0, 65535]`.

    Returns:
        `(h, w) uint8, [0, 255]`.
    """
    top = int(pixels.max()) if pixels.size else 0
    # A lookup table of all levels: dividing every pixel takes twenty times as long.
    levels = np.arange(top + 1, dtype=np.float64) / max(top, 1) * 255
    return np.asarray(levels.astype(np.uint8)[pixels])
