"""From a patch network to a whole-image classifier.

docs/original-system.md, "From patch network to whole-image classifier".
"""

from typing import Any

import keras

from mammo_core.models.config import HeadConfig
from mammo_core.models.heads import Head
from mammo_core.models.registry import network_of
from mammo_core.models.shapes import shape_table
from mammo_core.models.weights import set_layer_weights, transfer_weights


def to_whole_image(
    patch_model: keras.Model,
    head: HeadConfig,
    image_shape: tuple[int, int],
    classes: int = 2,
    seed: int = 0,
) -> keras.Model:
    """Turn a patch classifier into a whole-image classifier.

    The patch network is cut at its feature layer; an optional heatmap, the head and a
    softmax follow. The patch model itself is not changed.

    Args:
        patch_model: A model of `build_patch_network`, trained or not.
        head: The head. A heatmap takes the weights of the patch model's last layer.
        image_shape: `(H, W)` of the images, pixels.
        classes: Number of classes.
        seed: Determines the head's random weights.

    Returns:
        A model `(n, H, W, channels) float32 -> (n, classes) float32, [0, 1]`.

    Raises:
        ModelError: The image is too small for the head, or a layer's weights were not copied.
    """
    inputs, x, head_layers = whole_image_features(patch_model, head, image_shape, seed)
    outputs = head_layers.classify(head_layers.features(x), classes)
    model = keras.Model(inputs, outputs, name=f"{network_of(patch_model).name}_whole")
    if head.heatmap is not None:
        weights = patch_model.get_layer("predictions").get_weights()
        set_layer_weights(
            model.get_layer("heatmap"), weights, what=f"the patch model {patch_model.name}"
        )
    return model


def whole_image_features(
    patch_model: keras.Model, head: HeadConfig, image_shape: tuple[int, int], seed: int
) -> tuple[Any, Any, Head]:
    """Copy a patch network for whole images, up to the head's blocks.

    Returns:
        The input, the input of the head's blocks (`(n, rows, cols, filters)`, or the heatmap),
        and the head, whose layers have the patch network's precision.
    """
    network = network_of(patch_model)
    shape_table(network, head, image_shape)
    feature = patch_model.get_layer(network.feature)
    body = keras.Model(patch_model.inputs[0], feature.output)
    inputs = keras.Input((*image_shape, network.channels), name="pixels")
    features = keras.models.clone_model(body, input_tensors=inputs)
    transfer_weights(patch_model, features, what=f"the patch model {patch_model.name}")
    x, head_layers = features.output, Head(head, seed, feature.dtype_policy)
    if head.heatmap is not None:
        classes = patch_model.get_layer("predictions").units
        x = head_layers.heatmap(x, head.heatmap, classes)
    return inputs, x, head_layers
