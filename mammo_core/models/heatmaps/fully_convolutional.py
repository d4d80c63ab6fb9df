"""Patch classifiers made fully convolutional."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from mammo_core.errors import ModelError
from mammo_core.models.graph import last_input, producer
from mammo_core.models.heatmaps.grid import Side, side_pair
from mammo_core.models.heatmaps.receptive_field import receptive_field

_SUFFIX = "_heatmap"
_POOL = "heatmap_pool"
_DROPOUTS = ("Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise")


def fully_convolutional(patch_model: keras.Model, patch_shape: Side) -> keras.Model:
    """Make a patch classifier fully convolutional, sharing its layers.

    Its global pooling becomes a pool over the cells of a patch at stride 1, and its dense layer
    a 1x1 convolution with the same weights. For ResNet50 one pass takes 3 % of the multiply-adds
    of a window slid by the network's stride (docs/original-system.md, "Counts of operations").
    A sliding window has padding at the border of every patch, one pass only at the border of
    the image, so the two differ somewhat (docs/heatmaps.md).

    Args:
        patch_model: A patch classifier, built here or imported: features, a global pooling and
            one dense layer.
        patch_shape: Patch side or `(h, w)` it was trained on, pixels.

    Returns:
        A model `(n, H, W, channels) float32 -> (n, rows, cols, classes) float32, [0, 1]` with a
        copy of the dense weights as they are now.

    Raises:
        ModelError: The model has another structure, or a patch has no cells in it.
    """
    head = _find_head(patch_model)
    height, width = side_pair(patch_shape)
    features = keras.Model(patch_model.inputs[0], head.features, name=str(patch_model.name))
    cells = tuple(cell_count(features, side, axis) for axis, side in enumerate((height, width)))
    # A pool before the global one leaves out the cells that do not fill it.
    pooled = tuple(
        count // size * size for count, size in zip(cells, head.pooled_before, strict=True)
    )
    if min(pooled) < 1:
        raise ModelError(
            f"A patch of {height}x{width} is too small for {patch_model.name}",
            expected=f"patches of at least {' x '.join(map(str, head.pooled_before))} cells",
            received=f"{height}x{width} pixels, {cells[0]}x{cells[1]} cells",
        )
    pool = layers.MaxPooling2D if head.max_pooled else layers.AveragePooling2D
    x = pool(pooled, strides=1, padding="valid", name=_POOL)(head.features)
    rest = tuple(count - size for count, size in zip(cells, pooled, strict=True))
    if any(rest):
        x = layers.Cropping2D(((0, rest[0]), (0, rest[1])), name="heatmap_crop")(x)
    classify = layers.Conv2D(
        head.dense.units,
        1,
        activation=head.activation,
        use_bias=head.dense.use_bias,
        dtype="float32",
        name="heatmap",
    )
    model = keras.Model(patch_model.inputs[0], classify(x), name=f"{patch_model.name}{_SUFFIX}")
    kernel, *bias = head.dense.get_weights()
    classify.set_weights([kernel[np.newaxis, np.newaxis], *bias])
    # Keras would compile it for each image size: half a minute for one second of work.
    model.jit_compile = keras.backend.backend() != "tensorflow"
    return model


def is_fully_convolutional(model: keras.Model) -> bool:
    """Return whether a model comes from `fully_convolutional`."""
    return str(model.name).endswith(_SUFFIX)


def feature_network(model: keras.Model) -> tuple[keras.Model, tuple[int, int], Any | None]:
    """Return the part of a patch or heatmap model up to its features.

    Returns:
        The model up to the features; the cells of a pool before the global one; and the pool of
        a heatmap model, None for a patch model.

    Raises:
        ModelError: A patch model has another structure than features, global pooling and dense.
    """
    if is_fully_convolutional(model):
        pool, before = model.get_layer(_POOL), (1, 1)
        tensor = last_input(pool)
    else:
        head = _find_head(model)
        pool, before, tensor = None, head.pooled_before, head.features
    name = str(model.name).removesuffix(_SUFFIX)
    return keras.Model(model.inputs[0], tensor, name=name), before, pool


def cell_count(features: keras.Model, side: int, axis: int) -> int:
    """Return the feature cells of a patch along an axis.

    Args:
        features: A model up to its features.
        side: Side of the patch, pixels.
        axis: 0 for rows, 1 for columns.

    Raises:
        ModelError: The patch is too small for a cell.
    """
    cells = receptive_field(features, side, axis).cells if side > 0 else 0
    if cells < 1:
        raise ModelError(
            f"A patch of {side} pixels is too small for {features.name}",
            expected="at least one feature cell",
            received=f"{side} pixels",
        )
    return cells


@dataclass(frozen=True)
class _ClassifierHead:
    """The layers of a patch classifier after its features."""

    features: Any
    dense: Any
    activation: str
    max_pooled: bool
    pooled_before: tuple[int, int]


def _find_head(model: keras.Model) -> _ClassifierHead:
    """Find the dense layer, the global pooling before it and the features before that."""
    activation = None
    operation, tensor = producer(model.outputs[0])
    if type(operation).__name__ in ("Activation", "Softmax"):
        activation = getattr(operation, "activation", keras.activations.softmax)
        operation, tensor = producer(tensor)
    dense = operation
    if type(dense).__name__ == "Dense":
        operation, tensor = producer(tensor)
        while type(operation).__name__ in _DROPOUTS:
            operation, tensor = producer(tensor)
        kind, before = type(operation).__name__, (1, 1)
        if kind in ("GlobalAveragePooling2D", "GlobalMaxPooling2D"):
            pool, pooled = producer(tensor)
            whole = getattr(pool, "strides", None) == getattr(pool, "pool_size", ())
            if (
                kind == "GlobalAveragePooling2D"
                and type(pool).__name__ == "AveragePooling2D"
                and (whole and pool.padding == "valid")
            ):
                before, tensor = pool.pool_size, pooled
            last = keras.activations.serialize(activation or dense.activation)
            if activation is None or dense.activation is keras.activations.linear:
                return _ClassifierHead(tensor, dense, last, kind == "GlobalMaxPooling2D", before)
    raise ModelError(
        f"{model.name} cannot be made fully convolutional",
        expected="features, a global pooling and one dense layer",
        received=f"a {type(operation).__name__} before the output",
    )
