"""Networks of `keras.applications`, made ours: seeded, named by block, without preprocessing."""

import re
from typing import Any

import keras
from keras import layers

from mammo_core.models.registry import Network
from mammo_core.models.seeds import layer_seed

_PREPROCESSING = (layers.Rescaling, layers.Normalization)
# Names that Keras counts up over the whole process: they would differ from run to run.
_COUNTED = re.compile(
    r"(conv2d|batch_normalization|activation|add|concatenate|(?:average|max)_pooling2d)(?:_(\d+))?"
)


def application(network: Network, weights: str | None = None) -> keras.Model:
    """Return the network as Keras builds it, without its classifier.

    Args:
        network: With an `application`.
        weights: `"imagenet"` downloads them, or takes them from Keras's cache.
    """
    build = getattr(keras.applications, str(network.application))
    # The others of these scale in the model: that is the divisor's work here.
    own = ("ConvNeXtTiny", "EfficientNetV2S")
    options = {"include_preprocessing": False} if network.application in own else {}
    return build(
        include_top=False, weights=weights, input_shape=(None, None, network.channels), **options
    )


def body(network: Network, source: keras.Model, seed: int) -> keras.Model:
    """Build a network again with seeds, its input scaled by the divisor.

    Args:
        network: With an `application`.
        source: What `application` returned.
        seed: Decides the random weights.

    Returns:
        The network up to its features. Its layers with weights come in the source's order.
    """
    inputs = keras.Input((None, None, network.channels), name="pixels")
    names = _names(network, source)

    def clone(layer: Any) -> Any:
        if isinstance(layer, keras.Sequential):
            # ConvNeXt's stem and downsampling; built where they are called.
            return keras.Sequential([clone(inner) for inner in layer.layers], name=names(layer))
        if not isinstance(layer, layers.Layer):
            # ConvNeXt's shortcuts are bare additions, with a name that Keras counts.
            return layers.Add(name=_addition(layer))
        return seeded(layer, seed, names(layer))

    def call(layer: Any, x: Any, *args: Any, **options: Any) -> Any:
        if isinstance(layer, _PREPROCESSING):
            return x
        if x is inputs and network.divisor != 1:
            x = layers.Rescaling(1 / network.divisor, name="rescale")(x)
        return layer([x, *args]) if isinstance(layer, layers.Add) and args else layer(x, **options)

    cloned = keras.models.clone_model(
        source, input_tensors=inputs, clone_function=clone, call_function=call
    )
    return keras.Model(inputs, cloned.output, name=network.name)


def seeded(layer: Any, seed: int, name: str) -> Any:
    """Return a new layer of the same configuration, whose randomness its name decides."""
    config = {**layer.get_config(), "name": name}
    for key, value in config.items():
        if key.endswith("_initializer") and "seed" in (value or {}).get("config", {}):
            own = name if key == "kernel_initializer" else f"{name}/{key}"
            value["config"]["seed"] = layer_seed(seed, own)
    if "seed" in config:
        config["seed"] = layer_seed(seed, name)
    return layer.__class__.from_config(config)


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copy the weights of an application into the body that was built of it."""
    given = [layer for layer in source.layers if layer.weights]
    given = [layer for layer in given if not isinstance(layer, _PREPROCESSING)]
    taking = [layer for layer in target.layers if layer.weights]
    for theirs, ours in zip(given, taking, strict=True):
        ours.set_weights(theirs.get_weights())


def _names(network: Network, source: keras.Model) -> Any:
    """Return the function that names our copy of a layer."""
    names = {layer.name: _explicit(network, layer.name) for layer in source.layers}
    counted: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for layer, block in zip(source.layers, _owners(network, source), strict=True):
        found = _COUNTED.fullmatch(layer.name)
        if found:
            kind, number = found[1], int(found[2] or 0)
            counted.setdefault((block, kind), []).append((number, layer.name))
    for (block, kind), group in counted.items():
        for number, (_, name) in enumerate(sorted(group), start=1):
            names[name] = f"{block}_{kind}{number if len(group) > 1 else ''}"
    return lambda layer: names.get(layer.name, _explicit(network, layer.name))


def _explicit(network: Network, name: str) -> str:
    if network.name == "inception_v3":
        # Keras calls what lies inside mixed9 and mixed10 mixed9_0 and mixed9_1.
        found = re.fullmatch(r"mixed9_(\d)", name)
        return f"mixed{9 + int(found[1])}_branch3x3" if found else name
    if network.name != "convnext_tiny":
        return name
    name = name.removeprefix("convnext_tiny_")
    if found := re.fullmatch(r"downsampling_block_(\d)(.*)", name):
        return f"stage_{int(found[1]) + 1}_downsampling{found[2]}"
    # The one after the last stage; Keras counts its name.
    return "stage_3_norm" if re.fullmatch(r"layer_normalization(_\d+)?", name) else name


def _addition(operation: Any) -> str:
    """Name an addition after the branch that it adds."""
    branch = str(operation._inbound_nodes[0].parent_nodes[-1].operation.name)
    return branch.removeprefix("convnext_tiny_").replace("_identity", "_add")


def _owners(network: Network, source: keras.Model) -> list[str]:
    """Return the block of each layer, in the order of the graph.

    Blocks follow each other there: every path goes through the last layer of each.
    """
    named = [network.block_of(_explicit(network, layer.name)) for layer in source.layers]
    if network.name == "inception_v3":
        # Only the last layer of a block has a name of its own.
        pools = [i for i, x in enumerate(source.layers) if isinstance(x, layers.MaxPooling2D)]
        named[pools[1]] = network.blocks[0]
        named.reverse()
    owners, current = [], network.blocks[0]
    for block in named:
        current = block or current
        owners.append(current)
    if network.name == "inception_v3":
        owners.reverse()
    return owners
