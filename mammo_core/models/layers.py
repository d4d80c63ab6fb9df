"""Layers whose random weights depend on the seed and the layer's name only."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import layers

from mammo_core.seeds import derive_seed


def layer_seed(seed: int, name: str) -> int:
    """Return the seed of a layer: the same whatever was built before it."""
    return derive_seed(seed, "layer", name) % 2**31


Adapt = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


def seeded_copy(layer: Any, seed: int, name: str, adapt: Adapt | None = None) -> Any:
    """Return a new layer with the same configuration, seeded by its name.

    Args:
        layer: A layer.
        seed: Seed of the network.
        name: Name of the copy.
        adapt: Changes the configuration, see `Application`.
    """
    config = {**layer.get_config(), "name": name}
    if adapt is not None:
        config = dict(adapt(type(layer).__name__, config))
    for key, value in config.items():
        if key.endswith("_initializer") and "seed" in (value or {}).get("config", {}):
            source = name if key == "kernel_initializer" else f"{name}/{key}"
            value["config"]["seed"] = layer_seed(seed, source)
    if "seed" in config:
        config["seed"] = layer_seed(seed, name)
    return layer.__class__.from_config(config)


def convolution(
    x: Any,
    name: str,
    filters: int,
    size: int,
    seed: int,
    stride: int = 1,
    padding: str | None = None,
) -> Any:
    """Apply a convolution as Keras 2 initialized it (Glorot uniform).

    Args:
        x: `(n, rows, cols, channels) float32`.
        name: Name of the layer.
        filters: Output channels.
        size: Side of the kernel.
        seed: Seed of the network.
        stride: Stride of the kernel.
        padding: `"same"` or `"valid"`; None: `"valid"` for 1x1 kernels, else `"same"`.
    """
    return layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding=padding or ("valid" if size == 1 else "same"),
        kernel_initializer=keras.initializers.GlorotUniform(layer_seed(seed, name)),
        name=name,
    )(x)


def softmax_layer(classes: int, seed: int) -> Any:
    """Return the last layer of a classifier: dense with softmax, always in float32."""
    return layers.Dense(
        classes,
        activation="softmax",
        kernel_initializer=keras.initializers.GlorotUniform(layer_seed(seed, "predictions")),
        dtype="float32",
        name="predictions",
    )
