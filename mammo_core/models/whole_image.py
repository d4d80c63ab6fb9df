"""From a patch network to a whole-image classifier (original-system.md §6.1)."""

from typing import Any

import keras
from keras import layers

from mammo_core.errors import ModelError
from mammo_core.models.config import HeadConfig
from mammo_core.models.networks import softmax
from mammo_core.models.registry import Network, network_of
from mammo_core.models.seeds import layer_seed
from mammo_core.models.weights import transfer


def to_whole_image(
    patch_model: keras.Model,
    head: HeadConfig,
    image_shape: tuple[int, int],
    classes: int = 2,
    seed: int = 0,
) -> keras.Model:
    """Turn a patch classifier into a whole-image classifier.

    The patch network is cut at its feature layer; blocks, global average pooling and a
    dense softmax follow. The patch model itself stays as it is.

    Args:
        patch_model: A model of `build_patch_network`, trained or not.
        head: The blocks to add.
        image_shape: `(H, W)` of the images, pixels.
        classes: Number of classes.
        seed: Decides the head's random weights.

    Returns:
        A model `(n, H, W, channels) float32 -> (n, classes) float32, [0, 1]`.

    Raises:
        ModelError: The image is too small for the head, or a layer did not take its weights.
    """
    network = network_of(patch_model)
    _check_sizes(network, head, image_shape)
    body = keras.Model(patch_model.inputs[0], patch_model.get_layer(network.feature).output)
    inputs = keras.Input((*image_shape, network.channels), name="pixels")
    features = keras.models.clone_model(body, input_tensors=inputs)
    transfer(patch_model, features, what=f"the patch model {patch_model.name}")
    x = features.output
    add_block = _residual_block if head.kind == "residual" else _vgg_block
    for number, (depth, units) in enumerate(
        zip(head.depths, head.repetitions, strict=True), start=1
    ):
        x = add_block(x, f"head_block{number}", depth, units, head, seed)
    x = layers.GlobalAveragePooling2D(name="head_average_pool")(x)
    x = _dropout(x, "head_average_pool", head, seed)
    return keras.Model(inputs, softmax(classes, seed)(x), name=f"{network.name}_whole")


def _residual_block(x: Any, block: str, depth: int, units: int, head: HeadConfig, seed: int) -> Any:
    """Post-activation bottlenecks; the first halves the map and projects its shortcut."""
    for unit in range(1, units + 1):
        name, stride = f"{block}_unit{unit}", 2 if unit == 1 else 1
        shortcut = x
        if unit == 1:
            shortcut = _convolution(x, f"{name}_shortcut", depth * head.enlarge, 1, head, seed, 2)
        y = _convolution(x, f"{name}_1", depth, 1, head, seed, stride)
        y = _activation(y, f"{name}_1", head, seed)
        y = _convolution(y, f"{name}_2", depth, 3, head, seed)
        y = _activation(y, f"{name}_2", head, seed)
        y = _convolution(y, f"{name}_3", depth * head.enlarge, 1, head, seed)
        x = layers.Add(name=f"{name}_add")([shortcut, y])
        x = _activation(x, name, head, seed)
    return x


def _vgg_block(x: Any, block: str, depth: int, units: int, head: HeadConfig, seed: int) -> Any:
    """3x3 convolutions, then a 2x2 max pool."""
    for unit in range(1, units + 1):
        name = f"{block}_unit{unit}"
        x = _activation(_convolution(x, name, depth, 3, head, seed), name, head, seed)
    return layers.MaxPooling2D(2, name=f"{block}_pool")(x)


def _convolution(
    x: Any, name: str, filters: int, size: int, head: HeadConfig, seed: int, stride: int = 1
) -> Any:
    x = layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding="same",
        kernel_initializer=keras.initializers.HeNormal(layer_seed(seed, name)),
        name=f"{name}_conv",
    )(x)
    return layers.BatchNormalization(momentum=head.momentum, name=f"{name}_bn")(x)


def _activation(x: Any, name: str, head: HeadConfig, seed: int) -> Any:
    return _dropout(layers.Activation("relu", name=f"{name}_relu")(x), name, head, seed)


def _dropout(x: Any, name: str, head: HeadConfig, seed: int) -> Any:
    if not head.dropout:
        return x
    name = f"{name}_dropout"
    return layers.Dropout(head.dropout, seed=layer_seed(seed, name), name=name)(x)


def _check_sizes(network: Network, head: HeadConfig, image_shape: tuple[int, int]) -> None:
    """Refuse an image whose features some block could not halve."""
    height, width = (network.cells(side) for side in image_shape)
    steps = [f"features {height}x{width} (stride {network.stride})"]
    for number in range(1, len(head.depths) + 1):
        if min(height, width) < 2:
            smallest = network.stride * _cells_needed(head)
            raise ModelError(
                f"An image of {image_shape[0]}x{image_shape[1]} is too small for {network.name} "
                f"with {len(head.depths)} {head.kind} blocks: {' -> '.join(steps)}",
                expected=f"at least 2x2 cells before each block, so sides from {smallest} pixels",
                received=f"{height}x{width} cells before block {number}",
                hint="Use larger images or fewer blocks",
            )
        # Strided convolutions round up, pools round down.
        round_up = head.kind == "residual"
        height, width = (height + round_up) // 2, (width + round_up) // 2
        steps.append(f"block {number} {height}x{width}")


def _cells_needed(head: HeadConfig) -> int:
    cells = 2
    for _ in head.depths[1:]:
        cells = 2 * cells - (head.kind == "residual")
    return cells
