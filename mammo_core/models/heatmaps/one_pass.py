"""Heatmaps of whole images in one pass of a fully convolutional network."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mammo_core.errors import ModelError
from mammo_core.models.heatmaps.fully_convolutional import (
    cell_count,
    feature_network,
    fully_convolutional,
    is_fully_convolutional,
)
from mammo_core.models.heatmaps.grid import GridAxis, Heatmap, Side, side_pair
from mammo_core.models.heatmaps.receptive_field import receptive_field

Maps = npt.NDArray[np.float32]


def heatmap(
    model: keras.Model,
    batch: npt.NDArray[np.float32],
    patch_size: Side,
    *,
    stride: int | None = None,
    tile: int | None = None,
) -> Maps:
    """Score every position of whole images.

    Args:
        model: A patch model, or the result of `fully_convolutional` for it (faster if there are
            many batches).
        batch: `(n, H, W, channels) float32`, on the network's scale.
        patch_size: Patch side or `(h, w)` the model was trained on, pixels.
        stride: Pixels from one position to the next: the network's stride (None), a divisor of
            it (one pass over the image for each shift) or a multiple (positions are skipped).
        tile: Largest side, in pixels, that the network sees at once, which bounds memory; None:
            the whole image. The result is the same: tiles overlap by the receptive field.

    Returns:
        `(n, rows, cols, classes) float32, [0, 1]`; `coordinates` returns the positions.

    Raises:
        ModelError: The images are smaller than a patch, the stride is neither a divisor nor a
            multiple, or a tile is smaller than the receptive field of one position.
    """
    axes = _axes(model, (batch.shape[1], batch.shape[2]), patch_size, stride)
    if not is_fully_convolutional(model):
        model = fully_convolutional(model, patch_size)
    maps = None
    for down, rows in axes[0].shifts():
        for right, columns in axes[1].shifts():
            view = batch[:, axes[0].crop(down), axes[1].crop(right)]
            values = _predict_tiled(model, view, axes, tile)
            values = values[:, :: axes[0].skip, :: axes[1].skip]
            if maps is None:
                shape = (len(batch), axes[0].count, axes[1].count, values.shape[-1])
                maps = np.empty(shape, np.float32)
            maps[:, rows, columns] = values
    if maps is None:
        raise ModelError(
            "The batch to score is empty", expected="an image", received=f"{batch.shape}"
        )
    return maps


def image_heatmap(
    model: keras.Model,
    image: npt.NDArray[np.float32],
    patch_size: Side,
    *,
    stride: int | None = None,
    tile: int | None = None,
) -> Heatmap:
    """Score every position of one image.

    Args:
        model: As in `heatmap`.
        image: `(H, W, channels) float32`, on the network's scale.
        patch_size: As in `heatmap`.
        stride: As in `heatmap`.
        tile: As in `heatmap`.

    Returns:
        The heatmap and its coordinates in the image.
    """
    maps = heatmap(model, image[np.newaxis], patch_size, stride=stride, tile=tile)
    shape = (image.shape[0], image.shape[1])
    return Heatmap(maps[0], *coordinates(model, shape, patch_size, stride=stride))


def coordinates(
    model: keras.Model,
    image_shape: tuple[int, int],
    patch_size: Side,
    *,
    stride: int | None = None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the positions of a heatmap in the image.

    Args:
        model: The patch or heatmap model.
        image_shape: `(H, W)` of the image, pixels.
        patch_size: Patch side or `(h, w)`, pixels.
        stride: As in `heatmap`.

    Returns:
        The centers of the receptive fields: rows `(rows,) float64` and columns
        `(cols,) float64` as pixel indices of the image. With ResNet50 they are half a stride
        before the middle of the patch: its strided convolutions sample the first pixel of
        every pair.
    """
    rows, columns = (axis.centers() for axis in _axes(model, image_shape, patch_size, stride))
    return rows, columns


def network_stride(
    model: keras.Model, image_shape: tuple[int, int], patch_size: Side
) -> tuple[int, int]:
    """Return the pixels from one position of a network to the next, along rows and columns.

    Args:
        model: The patch or heatmap model.
        image_shape: `(H, W)` of an image, pixels.
        patch_size: Patch side or `(h, w)`, pixels.
    """
    rows, columns = _axes(model, image_shape, patch_size, None)
    return rows.field.stride, columns.field.stride


def _predict_tiled(
    model: keras.Model, view: Any, axes: tuple[GridAxis, GridAxis], tile: int | None
) -> Maps:
    if tile is None or tile >= max(view.shape[1:3]):
        return np.asarray(model.predict_on_batch(view), np.float32)
    maps = None
    for rows, kept_rows, to_rows in axes[0].tiles(view.shape[1], tile):
        for columns, kept_columns, to_columns in axes[1].tiles(view.shape[2], tile):
            values = np.asarray(model.predict_on_batch(view[:, rows, columns]), np.float32)
            if maps is None:
                shape = [
                    axis.positions_of(side)
                    for axis, side in zip(axes, view.shape[1:3], strict=True)
                ]
                maps = np.empty((len(view), *shape, values.shape[-1]), np.float32)
            maps[:, to_rows, to_columns] = values[:, kept_rows, kept_columns]
    return np.zeros((0, 0, 0, 0), np.float32) if maps is None else maps


def _axes(
    model: keras.Model, image_shape: tuple[int, int], patch_size: Side, stride: int | None
) -> tuple[GridAxis, GridAxis]:
    features, before, pool = feature_network(model)
    axes = []
    for axis, (side, patch) in enumerate(zip(image_shape, side_pair(patch_size), strict=True)):
        cells = cell_count(features, patch, axis)
        field = receptive_field(features, side, axis)
        whole = cells // before[axis] * before[axis]
        pooled = whole if pool is None else pool.pool_size[axis]
        if field.cells < cells or side < patch:
            raise ModelError(
                f"An image of {image_shape[0]}x{image_shape[1]} has no room for a patch",
                expected=f"an image at least as large as the patch ({patch_size} pixels)",
                received=f"{image_shape[0]}x{image_shape[1]}",
            )
        step = field.stride if stride is None else stride
        if step < 1 or (field.stride % step and step % field.stride):
            raise ModelError(
                "A heatmap cannot have this stride",
                expected=f"a divisor or a multiple of the network's stride, {field.stride}",
                received=str(stride),
            )
        finer, skip = max(field.stride // step, 1), max(step // field.stride, 1)
        axes.append(GridAxis(side, field, pooled, cells, finer, skip))
    return axes[0], axes[1]
