"""Heatmaps that reach the edges of an image.

A patch that is centered on the edge of an image lies half outside it. The image is extended by
whole steps of the network, so that inside it the positions are those of `one_pass`.
"""

from typing import Literal

import keras
import numpy as np
import numpy.typing as npt

from mammo_core.models.heatmaps.grid import Side
from mammo_core.models.heatmaps.one_pass import Maps, coordinates, heatmap, network_stride

Extension = Literal["reflect", "zero"]
Centers = npt.NDArray[np.float64]


def extended_heatmap(
    model: keras.Model,
    batch: npt.NDArray[np.float32],
    patch_size: Side,
    *,
    extension: Extension = "reflect",
    tile: int | None = None,
) -> tuple[Maps, Centers, Centers]:
    """Score every position of whole images, also those closer to the edge than half a patch.

    Args:
        model: As in `heatmap`.
        batch: `(n, H, W, channels) float32`, on the network's scale.
        patch_size: As in `heatmap`.
        extension: What a patch sees beyond the edge: the image reflected at its outermost pixels,
            or zeros, as in the network's own padding.
        tile: As in `heatmap`.

    Returns:
        `(n, rows, cols, classes) float32, [0, 1]`, and the centers of the rows `(rows,) float64`
        and columns `(cols,) float64` as pixel indices of the image. The outermost ones are on its
        first and last pixels or less than a step beyond.

    Raises:
        ModelError: As in `heatmap`.
    """
    shape = (batch.shape[1], batch.shape[2])
    steps = network_stride(model, shape, patch_size)
    centers = coordinates(model, shape, patch_size)
    margins = [
        (_steps_to(line[0], step), _steps_to(side - 1 - line[-1], step))
        for line, step, side in zip(centers, steps, shape, strict=True)
    ]
    mode: Literal["reflect", "constant"] = "reflect" if extension == "reflect" else "constant"
    extended = np.pad(batch, ((0, 0), *margins, (0, 0)), mode)
    maps = heatmap(model, extended, patch_size, tile=tile)
    rows, columns = (
        line - before
        for line, (before, _) in zip(
            coordinates(model, (extended.shape[1], extended.shape[2]), patch_size),
            margins,
            strict=True,
        )
    )
    return maps, rows, columns


def _steps_to(distance: float, step: int) -> int:
    """Return the pixels of as many steps as cover a distance; none if it is covered."""
    return max(0, int(np.ceil(distance / step))) * step
