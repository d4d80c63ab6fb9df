"""The positions of a heatmap in the image, and how an image is covered by passes and tiles."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mammo_core.errors import ModelError
from mammo_core.models.heatmaps.receptive_field import ReceptiveField

Side = int | tuple[int, int]


@dataclass(frozen=True)
class Heatmap:
    """The class probabilities that a patch classifier returns over an image.

    Attributes:
        values: `(rows, cols, classes) float32, [0, 1]`.
        rows: `(rows,) float64`, pixel index of the center of each row in the image.
        columns: `(cols,) float64`, pixel index of the center of each column in the image.
    """

    values: npt.NDArray[np.float32]
    rows: npt.NDArray[np.float64]
    columns: npt.NDArray[np.float64]


@dataclass(frozen=True)
class GridAxis:
    """One axis of a heatmap computed by a fully convolutional network.

    Attributes:
        side: Side of the image, pixels.
        field: Receptive field of the features.
        pooled: Feature cells averaged for one position.
        patch: Feature cells of a patch.
        finer: Number of passes, each shifted by a fraction of the network's stride.
        skip: Positions from one that is kept to the next.
    """

    side: int
    field: ReceptiveField
    pooled: int
    patch: int
    finer: int
    skip: int

    @property
    def positions(self) -> int:
        """Positions of one pass, at the network's stride."""
        return self.field.cells - self.patch + 1

    @property
    def count(self) -> int:
        """Positions of the heatmap."""
        finest = self.finer * (self.positions - 1) + 1
        return -(-finest // self.skip)

    def positions_of(self, side: int) -> int:
        """Return the positions of one pass over a part of the image this many pixels long."""
        return self.positions - (self.side - side) // self.field.stride

    def shifts(self) -> Iterator[tuple[int, slice]]:
        """Yield each pass: the shift in pixels, and its positions in the heatmap."""
        yield 0, slice(0, None, self.finer)
        if self.positions > 1:
            for k in range(1, self.finer):
                yield k * (self.field.stride // self.finer), slice(k, None, self.finer)

    def crop(self, shift: int) -> slice:
        """Return the pixels of a pass: one stride fewer, so that padding does not change."""
        return slice(shift, self.side - (self.field.stride - shift if shift else 0))

    def centers(self) -> npt.NDArray[np.float64]:
        """Return the pixel indices of the heatmap's positions, `(count,) float64`."""
        step = self.field.stride / self.finer * self.skip
        first = self.field.center + self.field.stride * (self.pooled - 1) / 2
        return first + step * np.arange(self.count, dtype=np.float64)

    def tiles(self, side: int, tile: int) -> Iterator[tuple[slice, slice, slice]]:
        """Yield the pixels of each tile, its positions to keep, and these in the heatmap.

        A tile begins and ends at a multiple of the stride from the ends of the image, so that
        every padding in the network acts as it does on the whole image.

        Args:
            side: Side of the pass, pixels.
            tile: Largest side of a tile, pixels.

        Raises:
            ModelError: The tile is smaller than the receptive field of one position.
        """
        stride, field = self.field.stride, self.field
        total = self.positions_of(side)
        if side <= tile:
            yield slice(0, side), slice(0, total), slice(0, total)
            return
        size = side - -(-(side - tile) // stride) * stride
        first = max(-(field.low // stride), 0)
        last = (size - 1 - field.high) // stride - (self.pooled - 1)
        last = min(last, total - (side - size) // stride - 1)
        if size < 1 or last < first or field.everywhere:
            least = field.high + stride * (first + self.pooled) + 1
            raise ModelError(
                f"A tile of {tile} pixels is too small for this network",
                expected="whole images: every position depends on all of the image"
                if field.everywhere
                else f"at least {least} pixels: the receptive field of one position and a stride",
                received=f"{tile} pixels",
            )
        start = done = 0
        while done < total:
            start = 0 if done == 0 else min(stride * (done - first), side - size)
            at_end = start + size == side
            stop = total if at_end else start // stride + last + 1
            here = start // stride
            yield slice(start, start + size), slice(done - here, stop - here), slice(done, stop)
            done = stop


def side_pair(size: Side) -> tuple[int, int]:
    """Return `(rows, columns)` of a size given as one number or two."""
    return (size, size) if isinstance(size, int) else size
