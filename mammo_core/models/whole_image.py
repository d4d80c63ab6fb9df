"""From a patch network to a whole-image classifier (original-system.md §6.1)."""

from typing import Any

import keras

from mammo_core.models.config import HeadConfig
from mammo_core.models.heads import Head
from mammo_core.models.registry import network_of
from mammo_core.models.shapes import shape_table
from mammo_core.models.weights import take, transfer


def to_whole_image(
    patch_model: keras.Model,
    head: HeadConfig,
    image_shape: tuple[int, int],
    classes: int = 2,
    seed: int = 0,
) -> keras.Model:
    """Turn a patch classifier into a whole-image classifier.

    The patch network is cut at its feature layer; an optional heatmap, the head and a
    softmax follow. The patch model itself stays as it is.

    Args:
        patch_model: A model of `build_patch_network`, trained or not.
        head: What to add. A heatmap takes the weights of the patch model's last layer.
        image_shape: `(H, W)` of the images, pixels.
        classes: Number of classes.
        seed: Decides the head's random weights.

    Returns:
        A model `(n, H, W, channels) float32 -> (n, classes) float32, [0, 1]`.

    Raises:
        ModelError: The image is too small for the head, or a layer did not take its weights.
    """
    inputs, x, adding = features_of(patch_model, head, image_shape, seed)
    outputs = adding.classify(adding.features(x), classes)
    model = keras.Model(inputs, outputs, name=f"{network_of(patch_model).name}_whole")
    if head.heatmap is not None:
        weights = patch_model.get_layer("predictions").get_weights()
        take(model.get_layer("heatmap"), weights, what=f"the patch model {patch_model.name}")
    return model


def features_of(
    patch_model: keras.Model, head: HeadConfig, image_shape: tuple[int, int], seed: int
) -> tuple[Any, Any, Head]:
    """Copy a patch network for whole images, up to where the head's blocks begin.

    Returns:
        The input, what the head takes (`(n, rows, cols, filters)`, or the heatmap), and
        the head, whose layers have the patch network's precision.
    """
    network = network_of(patch_model)
    shape_table(network, head, image_shape)
    feature = patch_model.get_layer(network.feature)
    body = keras.Model(patch_model.inputs[0], feature.output)
    inputs = keras.Input((*image_shape, network.channels), name="pixels")
    features = keras.models.clone_model(body, input_tensors=inputs)
    transfer(patch_model, features, what=f"the patch model {patch_model.name}")
    x, adding = features.output, Head(head, seed, feature.dtype_policy)
    if head.heatmap is not None:
        classes = patch_model.get_layer("predictions").units
        x = adding.heatmap(x, head.heatmap, classes)
    return inputs, x, adding
