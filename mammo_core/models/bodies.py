"""Networks that we build ourselves, up to their features."""

from typing import Any

import keras
from keras import layers

from mammo_core.models.registry import Network
from mammo_core.models.seeds import layer_seed

# Filters of each convolution, block by block.
_COMPACT = ((16,), (24, 24), (48, 48), (96, 96))
_YAROSLAV = ((32, 32), (64, 64), (128, 128), (256, 256), (256, 256), (512, 512))
# Depth and units of each stage of ResNet50.
_RESNET50 = {2: (64, 3), 3: (128, 4), 4: (256, 6), 5: (512, 3)}


def compact(network: Network, seed: int) -> keras.Model:
    """Return a small VGG for the demonstration.

    166,197 parameters with 5 classes, 19.4 million multiply-adds per 56x56 patch. Pooling
    comes before a block's last normalisation, and convolutions have no bias: a training
    step of 32 patches on two cores takes 35 instead of 55 ms.
    """
    inputs = keras.Input((None, None, network.channels), name="pixels")
    x = inputs
    for block, filters in zip(network.blocks, _COMPACT, strict=True):
        for number, count in enumerate(filters, start=1):
            name = f"{block}_conv{number}"
            x = layers.Conv2D(
                count,
                3,
                padding="same",
                use_bias=False,
                kernel_initializer=keras.initializers.HeNormal(layer_seed(seed, name)),
                name=name,
            )(x)
            last = number == len(filters)
            if last:
                x = layers.MaxPooling2D(2, name=f"{block}_maxpool")(x)
            # The demonstration takes a few hundred steps: momentum 0.99 would not settle.
            x = layers.BatchNormalization(momentum=0.9, name=f"{block}_bn{number}")(x)
            name = f"{block}_out" if last else f"{block}_relu{number}"
            x = layers.Activation("relu", name=name)(x)
    return keras.Model(inputs, x, name=network.name)


def yaroslav(network: Network, seed: int) -> keras.Model:
    """Return the original's YaroslavNet (original-system.md §7.1), with its layers' names."""
    inputs = keras.Input((None, None, network.channels), name="input_1")
    x, counted = inputs, 0
    for block, filters in zip(network.blocks, _YAROSLAV, strict=True):
        for number, count in enumerate(filters, start=1):
            name = f"{block}_conv{number}"
            x = _convolution(x, name, count, 3, seed)
            counted += 1
            x = layers.BatchNormalization(name=f"batch_normalization_{counted}")(x)
            x = layers.Activation("relu", name=f"activation_{counted}")(x)
        x = layers.MaxPooling2D(2, name=f"{block}_pool")(x)
    return keras.Model(inputs, x, name=network.name)


def resnet50_keras2(network: Network, seed: int) -> keras.Model:
    """Return ResNet50 as Keras 2.0.8 built it, with its layers' names.

    original-system.md §10: the stem pads as "same", its pool not at all, and batch
    normalisation has Keras's own epsilon, 0.001.
    """
    inputs = keras.Input((None, None, network.channels), name="input_1")
    counted = {"activation": 0, "add": 0}

    def count(kind: str) -> str:
        counted[kind] += 1
        return f"{kind}_{counted[kind]}"

    def relu(x: Any) -> Any:
        return layers.Activation("relu", name=count("activation"))(x)

    def normal(x: Any, unit: str, branch: str, filters: int, size: int, stride: int = 1) -> Any:
        x = _convolution(x, f"res{unit}_branch{branch}", filters, size, seed, stride)
        return layers.BatchNormalization(name=f"bn{unit}_branch{branch}")(x)

    x = _convolution(inputs, "conv1", 64, 7, seed, 2, padding="same")
    x = relu(layers.BatchNormalization(name="bn_conv1")(x))
    x = layers.MaxPooling2D(3, strides=2, name="max_pooling2d_1")(x)
    for stage, (depth, units) in _RESNET50.items():
        for letter in "abcdef"[:units]:
            unit, stride = f"{stage}{letter}", 2 if letter == "a" and stage > 2 else 1
            y = relu(normal(x, unit, "2a", depth, 1, stride))
            y = relu(normal(y, unit, "2b", depth, 3))
            y = normal(y, unit, "2c", 4 * depth, 1)
            shortcut = normal(x, unit, "1", 4 * depth, 1, stride) if letter == "a" else x
            x = relu(layers.Add(name=count("add"))([y, shortcut]))
    return keras.Model(inputs, x, name=network.name)


def _convolution(
    x: Any,
    name: str,
    filters: int,
    size: int,
    seed: int,
    stride: int = 1,
    padding: str | None = None,
) -> Any:
    return layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding=padding or ("valid" if size == 1 else "same"),
        kernel_initializer=keras.initializers.GlorotUniform(layer_seed(seed, name)),
        name=name,
    )(x)
