"""Patch networks: an image patch in, the probability of each class out."""

import keras
from keras import layers

from mammo_core.errors import ModelError
from mammo_core.models import bodies
from mammo_core.models.applications import application, body
from mammo_core.models.config import NetworkConfig
from mammo_core.models.heads import softmax
from mammo_core.models.leaves import leaf_layers
from mammo_core.models.registry import NETWORKS, Network, network_of
from mammo_core.models.seeds import layer_seed
from mammo_core.models.weights import load_weights

_OWN = {
    "compact": bodies.compact,
    "yaroslav": bodies.yaroslav,
    "resnet50_keras2": bodies.resnet50_keras2,
}


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
    network = NETWORKS[config.network]
    check_patch(network, patch_shape)
    if classes < 2:
        raise ModelError(
            f"A {network.name} classifier needs classes to tell apart",
            expected="2 classes or more",
            received=str(classes),
        )
    features = build_body(network, seed)
    x = features.output
    if network.pooled > 1:
        x = layers.AveragePooling2D(network.pooled, name="avg_pool")(x)
    x = layers.GlobalAveragePooling2D(name=_pool_name(network))(x)
    if config.dropout:
        x = layers.Dropout(config.dropout, seed=layer_seed(seed, "dropout"), name="dropout")(x)
    model = keras.Model(features.input, softmax(classes, seed)(x), name=network.name)
    if config.weights != "none":
        load_weights(model, features, network, config.weights)
    return model


def build_body(network: Network, seed: int) -> keras.Model:
    """Build a network up to its features, with random weights.

    Args:
        network: Of the registry.
        seed: Decides every random weight.

    Returns:
        A model `(n, h, w, channels) float32 -> (n, rows, cols, filters) float32`.
    """
    if network.name in _OWN:
        return _OWN[network.name](network, seed)
    return body(network, application(network), seed)


def check_patch(network: Network, patch_shape: tuple[int, int]) -> None:
    """Refuse a patch that leaves no features to average.

    Raises:
        ModelError: With the cells that each side would give.
    """
    if min(patch_shape) >= network.minimum:
        return
    height, width = patch_shape
    cells = " x ".join(str(network.cells(side)) for side in patch_shape)
    needed = "one feature cell" if network.pooled == 1 else f"{network.pooled} feature cells"
    raise ModelError(
        f"A patch of {height}x{width} is too small for {network.name}: it leaves {cells} "
        f"feature cells (stride {network.stride}), and the average over too few is no number",
        expected=f"sides of at least {network.minimum} pixels ({needed})",
        received=f"{height}x{width}",
    )


def blocks(model: keras.Model) -> dict[str, list[str]]:
    """Name the layers of each block, from low to high, and those of the head.

    Args:
        model: A patch, whole-image or two-view model of this library. Towers of their own
            have the same names in both: a block means that of either.

    Returns:
        Block name to layer names. `head` holds every layer with weights that comes after
        the feature layer, but for a heatmap, which is a block of its own where there is one:
        its weights come from the patch classifier, so they stay while the head is new.
    """
    network = network_of(model)
    members: dict[str, list[str]] = {name: [] for name in (*network.blocks, "heatmap", "head")}
    for layer in leaf_layers(model):
        block = network.block_of(layer.name)
        if block is None and layer.weights:
            block = "heatmap" if layer.name == "heatmap" else "head"
        if block is not None and layer.name not in members[block]:
            members[block].append(layer.name)
    if not members["heatmap"]:
        del members["heatmap"]
    return members


def _pool_name(network: Network) -> str:
    # Where the layers bear the names that Keras 2 gave them.
    return "average_pool" if network.name != "yaroslav" else "global_average_pooling2d_1"
