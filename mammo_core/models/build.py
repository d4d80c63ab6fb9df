"""Patch classifiers: an image patch in, the probability of each class out."""

from collections.abc import Callable, Sequence

import keras
from keras import layers

from mammo_core.errors import ModelError
from mammo_core.models.applications import copy_application, load_application
from mammo_core.models.config import NetworkConfig
from mammo_core.models.graph import leaf_layers
from mammo_core.models.layers import layer_seed, softmax_layer
from mammo_core.models.registry import NETWORKS, Network, network_of
from mammo_core.models.weight_files import head_classes
from mammo_core.models.weights import load_weights


def build_patch_network(
    config: NetworkConfig,
    patch_shape: tuple[int, int],
    classes: int | Sequence[str],
    seed: int,
    say: Callable[[str], None] | None = None,
) -> keras.Model:
    """Build a patch classifier.

    It takes images of any size from the network's minimum up, so `patch_shape` is only
    validated. Its output is a softmax layer named `predictions`.

    Args:
        config: The network.
        patch_shape: `(h, w)` of the patches it will be trained on, pixels.
        classes: Names of the classes by index, or their number: the head of a file of weights is
            taken over only if its classes have the same names.
        seed: Determines every random weight, whatever the state of global generators.
        say: Called with what was taken over from a file of weights.

    Returns:
        A model `(n, h, w, channels) float32 -> (n, classes) float32, [0, 1]`.

    Raises:
        ModelError: The patch is smaller than the network can take, there are fewer than two
            classes, or the weights cannot be loaded.
    """
    network = NETWORKS[config.network]
    require_patch_size(network, patch_shape)
    names = () if isinstance(classes, int) else tuple(classes)
    count = classes if isinstance(classes, int) else len(names)
    if count < 2:
        raise ModelError(
            f"A {network.name} classifier has too few classes",
            expected="2 classes or more",
            received=str(count),
        )
    features = build_body(network, seed)
    x = features.output
    if network.pooled > 1:
        x = layers.AveragePooling2D(network.pooled, name="avg_pool")(x)
    x = layers.GlobalAveragePooling2D(name=network.pool_name)(x)
    if config.dropout:
        x = layers.Dropout(config.dropout, seed=layer_seed(seed, "dropout"), name="dropout")(x)
    model = keras.Model(features.input, softmax_layer(count, seed)(x), name=network.name)
    if config.weights != "none":
        head = load_weights(model, features, network, config.weights, names, head_classes(config))
        if say is not None:
            say(f"weights of {config.weights}: {head}")
    return model


def build_body(network: Network, seed: int) -> keras.Model:
    """Build a network up to its features, with random weights.

    Args:
        network: A registered network.
        seed: Determines every random weight.

    Returns:
        A model `(n, h, w, channels) float32 -> (n, rows, cols, filters) float32`.
    """
    if network.application is not None:
        source = load_application(network.application, network.channels)
        return copy_application(network, source, seed)
    if network.build is None:
        raise TypeError(f"{network.name} was registered without a builder")
    return network.build(network, seed)


def require_patch_size(network: Network, patch_shape: tuple[int, int]) -> None:
    """Raise an error for a patch that leaves no features to average.

    Args:
        network: A registered network.
        patch_shape: `(h, w)`, pixels.

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
        f"feature cells (stride {network.stride}), too few to average",
        expected=f"sides of at least {network.minimum} pixels ({needed})",
        received=f"{height}x{width}",
    )


def blocks(model: keras.Model) -> dict[str, list[str]]:
    """Return the layer names of each block, from low to high, and those of the head.

    Args:
        model: A patch, whole-image or two-view model of this library. Separate towers have the
            same layer names: a block is then that block of both.

    Returns:
        Block name to layer names. `head` contains every layer with weights after the feature
        layer. Only a heatmap, if there is one, is a block of its own: its weights come from the
        patch classifier, so a stage that trains the new head must leave them alone.
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
