"""Heatmaps that reach the edges of an image.

A patch that is centered on the edge of an image lies half outside it. The image is extended by
whole steps of the network, so that the positions inside are those of `one_pass`, whose map they
keep.
"""

from typing import Literal

import keras
import numpy as np
import numpy.typing as npt

from mammo_core.models.heatmaps.grid import Side
from mammo_core.models.heatmaps.one_pass import Maps, coordinates, heatmap, network_stride

Extension = Literal["black", "reflect", "zero"]
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
        extension: What a patch sees beyond the edge: the image reflected at its outermost pixels;
            zeros, as in the network's own padding; or the darkest level of the image. Which is
            best is measured in docs/heatmaps.md.
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
    extended = _extended(batch, margins, extension)
    maps = heatmap(model, extended, patch_size, tile=tile)
    # Where a patch fits into the image, nothing changes: its features have the image's own padding.
    first = [before // step for (before, _), step in zip(margins, steps, strict=True)]
    inside = [slice(k, k + len(line)) for k, line in zip(first, centers, strict=True)]
    maps[:, inside[0], inside[1]] = heatmap(model, batch, patch_size, tile=tile)
    rows, columns = (
        line - before
        for line, (before, _) in zip(
            coordinates(model, (extended.shape[1], extended.shape[2]), patch_size),
            margins,
            strict=True,
        )
    )
    return maps, rows, columns


def _extended(
    batch: npt.NDArray[np.float32], margins: list[tuple[int, int]], extension: Extension
) -> npt.NDArray[np.float32]:
    if extension == "reflect":
        return np.pad(batch, ((0, 0), *margins, (0, 0)), "reflect")
    extended = np.pad(batch, ((0, 0), *margins, (0, 0)))
    if extension == "black":
        outside = np.pad(np.zeros(batch.shape[1:3], bool), margins, constant_values=True)
        extended[:, outside] = batch.min(axis=(1, 2))[:, np.newaxis]
    return extended


def _steps_to(distance: float, step: int) -> int:
    """Return the pixels of as many steps as cover a distance; none if it is covered."""
    return max(0, int(np.ceil(distance / step))) * step
