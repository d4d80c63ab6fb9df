"""Heatmaps: a patch classifier swept over a whole image in one pass."""

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from mammo_core.errors import ModelError
from mammo_core.models.registry import Network, network_of


def fully_convolutional(
    patch_model: keras.Model, patch_shape: int | tuple[int, int]
) -> keras.Model:
    """Make a patch classifier fully convolutional, sharing its layers.

    Its global average pooling becomes one over as many cells as a patch has, at stride 1;
    its dense layer a 1x1 convolution with the same weights. One pass costs 3 % of sliding a
    ResNet50 by its stride (anchors.md D4). Padding acts at the border of every patch in a
    sliding window and only at that of the image here, so the two differ somewhat.

    Args:
        patch_model: A model of `build_patch_network`.
        patch_shape: Patch side or `(h, w)` it was trained on, pixels.

    Returns:
        A model `(n, H, W, channels) float32 -> (n, rows, cols, classes) float32, [0, 1]`,
        a copy of the dense weights as they are now.
    """
    network = network_of(patch_model)
    cells = _cells(network, patch_shape)
    dense = patch_model.get_layer("predictions")
    x = patch_model.get_layer(network.feature).output
    x = layers.AveragePooling2D(cells, strides=1, padding="valid", name="heatmap_pool")(x)
    classify = layers.Conv2D(dense.units, 1, activation="softmax", dtype="float32", name="heatmap")
    model = keras.Model(patch_model.inputs[0], classify(x), name=f"{network.name}_heatmap")
    kernel, bias = dense.get_weights()
    classify.set_weights([kernel[np.newaxis, np.newaxis], bias])
    return model


def heatmap(
    model: keras.Model, batch: npt.NDArray[np.float32], patch_size: int | tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Score every place of whole images.

    Args:
        model: A patch model, or what `fully_convolutional` made of it (made once, that is
            the faster for many batches).
        batch: `(n, H, W, channels) float32`, on the network's scale.
        patch_size: Patch side or `(h, w)` the model was trained on, pixels.

    Returns:
        `(n, rows, cols, classes) float32, [0, 1]`; `coordinates` says where.

    Raises:
        ModelError: The images are smaller than a patch.
    """
    network = network_of(model)
    shape = batch.shape[1:3]
    _grid(network, (shape[0], shape[1]), patch_size)
    if model.name != f"{network.name}_heatmap":
        model = fully_convolutional(model, patch_size)
    maps: npt.NDArray[np.float32] = ops.convert_to_numpy(model(batch, training=False))
    return maps


def coordinates(
    model: keras.Model, image_shape: tuple[int, int], patch_size: int | tuple[int, int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Say where a heatmap's cells lie.

    Args:
        model: The patch or heatmap model.
        image_shape: `(H, W)` of the image, pixels.
        patch_size: Patch side or `(h, w)`, pixels.

    Returns:
        The centres of the cells: rows `(rows,)` and columns `(cols,)` as pixel indices of
        the image. With ResNet50 they lie half a stride before the middle of the patch:
        its strided convolutions sample the first pixel of every pair.
    """
    network = network_of(model)
    grid = _grid(network, image_shape, patch_size)
    rows, columns = (
        network.first_centre
        + network.stride * (np.arange(count, dtype=np.float64) + (cells - 1) / 2)
        for count, cells in zip(grid, _cells(network, patch_size), strict=True)
    )
    return rows, columns


def _cells(network: Network, patch_size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (patch_size, patch_size) if isinstance(patch_size, int) else patch_size
    cells = network.cells(height), network.cells(width)
    if min(cells) < 1:
        raise ModelError(
            f"A patch of {height}x{width} is too small for {network.name}",
            expected=f"sides of at least {network.minimum} pixels",
            received=f"{height}x{width}",
        )
    return cells


def _grid(
    network: Network, image_shape: tuple[int, int], patch_size: int | tuple[int, int]
) -> tuple[int, int]:
    cells = _cells(network, patch_size)
    rows, columns = (
        network.cells(side) - count + 1 for side, count in zip(image_shape, cells, strict=True)
    )
    if min(rows, columns) < 1:
        raise ModelError(
            f"An image of {image_shape[0]}x{image_shape[1]} has no room for a patch",
            expected=f"an image at least as large as the patch ({patch_size} pixels)",
            received=f"{image_shape[0]}x{image_shape[1]}",
        )
    return rows, columns
