"""ResNet50, as Keras builds it today and as Keras 2.0.8 built it."""

import re
from typing import Any

from mammo_core.models.registry import (
    Application,
    Network,
    Window,
    named_blocks,
    register_network,
)

# Depth and number of units of each stage.
_STAGES = {2: (64, 3), 3: (128, 4), 4: (256, 6), 5: (512, 3)}
_UNITS = tuple(
    (stage, unit) for stage, (_, count) in _STAGES.items() for unit in range(1, count + 1)
)
_BLOCKS = tuple(f"conv{stage}_block{unit}" for stage, unit in _UNITS)
_APPLICATION = Application("ResNet50")


def build_keras2(network: Network, seed: int) -> Any:
    """Build ResNet50 up to its features as Keras 2.0.8 did, with its layer names.

    The stem pads as "same", its pool does not pad, and batch normalization has the epsilon of
    Keras, 0.001 (docs/original-system.md, "Weight files of Keras 2.0.8").

    Returns:
        A model `(n, h, w, 3) float32 -> (n, rows, cols, 2048) float32`.
    """
    import keras
    from keras import layers

    from mammo_core.models.layers import convolution

    inputs = keras.Input((None, None, network.channels), name="input_1")
    counts = {"activation": 0, "add": 0}

    def next_name(kind: str) -> str:
        counts[kind] += 1
        return f"{kind}_{counts[kind]}"

    def relu(x: Any) -> Any:
        return layers.Activation("relu", name=next_name("activation"))(x)

    def branch(x: Any, name: str, filters: int, size: int, stride: int = 1) -> Any:
        x = convolution(x, f"res{name}", filters, size, seed, stride)
        return layers.BatchNormalization(name=f"bn{name}")(x)

    x = convolution(inputs, "conv1", 64, 7, seed, 2, padding="same")
    x = relu(layers.BatchNormalization(name="bn_conv1")(x))
    x = layers.MaxPooling2D(3, strides=2, name="max_pooling2d_1")(x)
    for stage, unit in _UNITS:
        depth, name = _STAGES[stage][0], f"{_keras2_unit(stage, unit)}_branch"
        stride = 2 if unit == 1 and stage > 2 else 1
        y = relu(branch(x, f"{name}2a", depth, 1, stride))
        y = relu(branch(y, f"{name}2b", depth, 3))
        y = branch(y, f"{name}2c", 4 * depth, 1)
        shortcut = branch(x, f"{name}1", 4 * depth, 1, stride) if unit == 1 else x
        x = relu(layers.Add(name=next_name("add"))([y, shortcut]))
    return keras.Model(inputs, x, name=network.name)


def keras2_name(name: str) -> str:
    """Return what Keras 2.0.8 called a layer of today's ResNet50 that has weights."""
    match = re.fullmatch(r"conv(\d)_block(\d)_(\d)_(conv|bn)", name)
    if not match:
        return {"conv1_conv": "conv1", "conv1_bn": "bn_conv1"}[name]
    stage, unit, part, kind = match.groups()
    branch = ("1", "2a", "2b", "2c")[int(part)]
    prefix = "res" if kind == "conv" else "bn"
    return f"{prefix}{_keras2_unit(int(stage), int(unit))}_branch{branch}"


def _keras2_unit(stage: int, unit: int) -> str:
    return f"{stage}{'abcdef'[unit - 1]}"


def _keras2_members() -> tuple[tuple[str, str], ...]:
    members = [("conv1", "conv1|bn_conv1|activation_1|max_pooling2d_1")]
    for number, (block, unit) in enumerate(zip(_BLOCKS, _UNITS, strict=True), start=1):
        activations = "|".join(str(3 * number + k) for k in (-1, 0, 1))
        name = _keras2_unit(*unit)
        members.append((block, f"(res|bn){name}_.*|add_{number}|activation_({activations})"))
    return tuple(members)


register_network(
    Network(
        name="resnet50",
        channels=3,
        path=(Window(7, 2, (3, 3)), Window(3, 2, (1, 1)), *(Window(1, 2),) * 3),
        feature="conv5_block3_out",
        members=(("conv1", "conv1_.*|pool1_.*"), *named_blocks(*_BLOCKS)),
        top=("conv5_block3",),
        application=_APPLICATION,
        imagenet=_APPLICATION,
        keras2="resnet50_keras2",
    )
)
register_network(
    Network(
        name="resnet50_keras2",
        channels=3,
        # No explicit padding.
        path=(Window(7, 2, "same"), Window(3, 2), *(Window(1, 2),) * 3),
        feature="activation_49",
        members=_keras2_members(),
        top=("conv5_block3",),
        build=build_keras2,
        imagenet=_APPLICATION,
        imagenet_names=keras2_name,
        # A 7x7 pool before the global one: a patch of fewer than 7 cells had no features.
        pooled=7,
        keras2="resnet50_keras2",
    )
)
