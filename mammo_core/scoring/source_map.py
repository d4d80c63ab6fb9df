"""From the image that a network takes back to the image of the file."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mammo_core.imaging import output_size
from mammo_core.imaging.crop import CropPlacement
from mammo_core.preprocessing import Geometry

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SourceMap:
    """Where the pixels of a network's image are in the image of the file.

    Attributes:
        rows: Rows of the file.
        columns: Columns of the file.
        placement: The crop and flip of the conversion.
        geometry: How the converted image was resized.
    """

    rows: int
    columns: int
    placement: CropPlacement
    geometry: Geometry

    def to_source(self, values: Values, step: int = 1) -> Values:
        """Return values of a network's image over the image of the file.

        Args:
            values: `(H, W) float32`, a value for every pixel of the network's image.
            step: Side of the squares of the file's pixels that have one value each.

        Returns:
            `(ceil(rows / step), ceil(columns / step)) float32`, linear between the pixels of the
            network's image; 0 where the conversion cropped.
        """
        x, y, width, height = self.placement.box or (0, 0, self.columns, self.rows)
        geometry = self.geometry
        scaled, _ = output_size((height, width), geometry.height, geometry.width, geometry.resize)
        down = _centers(self.rows, step) - y
        across = _centers(self.columns, step) - x
        inside = np.outer(_is_inside(down, height), _is_inside(across, width))
        if self.placement.flipped:
            across = width - 1 - across
        # Padding is not sampled: it is no part of the image.
        sampled = _sample(values[: scaled[0], : scaled[1]], down, height)
        sampled = _sample(sampled.T, across, width).T
        return np.where(inside, sampled, 0).astype(np.float32)

    def points_to_source(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return where points of a network's image are in the image of the file.

        Args:
            points: `(n, 2) float64`, row and column in pixel indices.

        Returns:
            `(n, 2) float64`, row and column in pixel indices of the file; those of a point in the
            padding are those of the nearest point of the image.
        """
        x, y, width, height = self.placement.box or (0, 0, self.columns, self.rows)
        geometry = self.geometry
        scaled, _ = output_size((height, width), geometry.height, geometry.width, geometry.resize)
        down = _stretch(points[:, 0], scaled[0], height)
        across = _stretch(points[:, 1], scaled[1], width)
        if self.placement.flipped:
            across = width - 1 - across
        return np.stack([down + y, across + x], axis=1)


def _stretch(positions: npt.NDArray[np.float64], count: int, size: int) -> npt.NDArray[np.float64]:
    """Return positions among `count` pixels as positions among `size`; the reverse of `_sample`."""
    stretched = (positions + 0.5) * size / count - 0.5
    return np.asarray(np.clip(stretched, -0.5, size - 0.5), dtype=np.float64)


def _centers(size: int, step: int) -> npt.NDArray[np.float64]:
    """Centers of squares in pixel indices; that of the last one is within the image."""
    centers = np.arange(0, size, step, dtype=np.float64) + (step - 1) / 2
    return np.asarray(np.minimum(centers, size - 1), dtype=np.float64)


def _is_inside(positions: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.bool_]:
    """Whether positions are in one of `size` pixels, which reach half a pixel around them."""
    return (positions > -0.5) & (positions < size - 0.5)


def _sample(
    values: npt.NDArray[np.floating], positions: npt.NDArray[np.float64], size: int
) -> npt.NDArray[np.float64]:
    """Sample the rows of values at positions in an image of `size` rows, linear in between."""
    count = len(values)
    at = np.clip((positions + 0.5) * count / size - 0.5, 0, count - 1)
    low = np.floor(at).astype(np.int64)
    share = (at - low)[:, np.newaxis]
    high = np.minimum(low + 1, count - 1)
    return np.asarray(values[low] * (1 - share) + values[high] * share, dtype=np.float64)
