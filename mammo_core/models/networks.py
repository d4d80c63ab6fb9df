"""Patch networks: an image patch in, the probability of each class out."""

from typing import Any

import keras
from keras import layers

from mammo_core.errors import ModelError
from mammo_core.models.config import NetworkConfig
from mammo_core.models.registry import NETWORKS, Network, network_of
from mammo_core.models.weights import load_weights
from mammo_core.seeds import derive

# Filters of each convolution, block by block.
_COMPACT = ((16,), (24, 24), (48, 48), (96, 96))
_YAROSLAV = ((32, 32), (64, 64), (128, 128), (256, 256), (256, 256), (512, 512))


def build_patch_network(
    config: NetworkConfig, patch_shape: tuple[int, int], classes: int, seed: int
) -> keras.Model:
    """Build a patch classifier.

    It takes images of any size from the network's minimum up, so `patch_shape` is only
    checked; its output is a softmax layer named `predictions`.

    Args:
        config: The network.
        patch_shape: `(h, w)` of the patches it will be trained on, pixels.
        classes: Number of classes.
        seed: Decides every random weight, whatever the state of global generators.

    Returns:
        A model `(n, h, w, channels) float32 -> (n, classes) float32, [0, 1]`.

    Raises:
        ModelError: The patch is smaller than the network can take, or the weights cannot
            be had.
    """
    network = NETWORKS[config.name]
    if min(patch_shape) < network.minimum:
        raise ModelError(
            f"A patch of {patch_shape[0]}x{patch_shape[1]} is too small for {network.name}",
            expected=f"sides of at least {network.minimum} pixels (one feature cell)",
            received=f"{patch_shape[0]}x{patch_shape[1]}",
        )
    if classes < 2:
        raise ModelError(
            f"A {network.name} classifier needs classes to tell apart",
            expected="2 classes or more",
            received=str(classes),
        )
    body = _body(network, seed)
    x = layers.GlobalAveragePooling2D(name="average_pool")(body.output)
    if config.dropout:
        x = layers.Dropout(config.dropout, seed=layer_seed(seed, "dropout"), name="dropout")(x)
    outputs = softmax(classes, seed)(x)
    model = keras.Model(body.input, outputs, name=network.name)
    if config.weights != "none":
        load_weights(model, body, network, config.weights)
    return model


def blocks(model: keras.Model) -> dict[str, list[str]]:
    """Name the layers of each block, from low to high, and those of the head.

    Args:
        model: A patch or whole-image model of this library.

    Returns:
        Block name to layer names. `head` holds every layer with weights that comes after
        the feature layer.
    """
    network = network_of(model)
    members: dict[str, list[str]] = {name: [] for name in (*network.blocks, "head")}
    for layer in model.layers:
        block = next((b for b in network.blocks if layer.name.startswith(f"{b}_")), None)
        if block is not None:
            members[block].append(layer.name)
        elif layer.weights:
            members["head"].append(layer.name)
    return members


def layer_seed(seed: int, name: str) -> int:
    """Return the seed of a layer: the same whatever was built before it."""
    return derive(seed, "layer", name) % 2**31


def softmax(classes: int, seed: int) -> Any:
    """Return the last layer of a classifier: dense, softmax, always float32."""
    return layers.Dense(
        classes,
        activation="softmax",
        kernel_initializer=keras.initializers.GlorotUniform(layer_seed(seed, "predictions")),
        dtype="float32",
        name="predictions",
    )


def _body(network: Network, seed: int) -> keras.Model:
    if network.name == "compact":
        return _compact(network, seed)
    if network.name == "yaroslav":
        return _yaroslav(network, seed)
    application = {"resnet50": keras.applications.ResNet50, "vgg16": keras.applications.VGG16}
    body = application[network.name](
        include_top=False, weights=None, input_shape=(None, None, network.channels)
    )

    def seeded(layer: Any) -> Any:
        config = layer.get_config()
        if "kernel_initializer" in config:
            config["kernel_initializer"]["config"]["seed"] = layer_seed(seed, layer.name)
        return layer.__class__.from_config(config)

    # Keras applications take no seed: build them again with one.
    inputs = keras.Input((None, None, network.channels), name="pixels")
    return keras.models.clone_model(body, input_tensors=inputs, clone_function=seeded)


def _compact(network: Network, seed: int) -> keras.Model:
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


def _yaroslav(network: Network, seed: int) -> keras.Model:
    """The original's YaroslavNet (original-system.md §7.1), with Keras's default weights."""
    inputs = keras.Input((None, None, network.channels), name="pixels")
    x = inputs
    for block, filters in zip(network.blocks, _YAROSLAV, strict=True):
        for number, count in enumerate(filters, start=1):
            name = f"{block}_conv{number}"
            initializer = keras.initializers.GlorotUniform(layer_seed(seed, name))
            x = layers.Conv2D(count, 3, padding="same", kernel_initializer=initializer, name=name)(
                x
            )
            x = layers.BatchNormalization(name=f"{block}_bn{number}")(x)
            x = layers.Activation("relu", name=f"{block}_relu{number}")(x)
        x = layers.MaxPooling2D(2, name=f"{block}_pool")(x)
    return keras.Model(inputs, x, name=network.name)
