"""Networks of `keras.applications`, copied with seeds, block names and no preprocessing."""

import re
from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from mammo_core.models.graph import parents
from mammo_core.models.layers import seeded_copy
from mammo_core.models.registry import Application, Network

_PREPROCESSING = (layers.Rescaling, layers.Normalization)
# Names that Keras numbers over the whole process: they would differ from run to run.
_NUMBERED = re.compile(
    r"(conv2d|batch_normalization|activation|add|concatenate|(?:average|max)_pooling2d)(?:_(\d+))?"
)


def load_application(
    application: Application, channels: int, weights: str | None = None
) -> keras.Model:
    """Return a network as Keras builds it, without its classifier.

    Args:
        application: The network.
        channels: Channels of its input.
        weights: `"imagenet"` downloads the weights, or takes them from Keras's cache.
    """
    build = getattr(keras.applications, application.builder)
    return build(
        include_top=False,
        weights=weights,
        input_shape=(None, None, channels),
        **application.options,
    )


def copy_application(network: Network, source: keras.Model, seed: int) -> keras.Model:
    """Rebuild a network with seeds, its input scaled by the divisor.

    Args:
        network: A network with an `application`.
        source: The model that `load_application` returned.
        seed: Determines every random weight.

    Returns:
        The network up to its features. Its layers with weights are in the order of the source.
    """
    application = _application_of(network)
    inputs = keras.Input((None, None, network.channels), name="pixels")
    rename = _renamer(network, application, source)

    def clone(layer: Any) -> Any:
        if isinstance(layer, keras.Sequential):
            # The stem and downsampling of ConvNeXt; built when called.
            return keras.Sequential([clone(inner) for inner in layer.layers], name=rename(layer))
        if not isinstance(layer, layers.Layer):
            # The shortcuts of ConvNeXt are bare additions, whose names Keras numbers.
            return layers.Add(name=_addition_name(application, layer))
        return seeded_copy(layer, seed, rename(layer), application.adapt)

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


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copy the weights of an application into the network that was copied from it."""
    theirs = [layer for layer in source.layers if layer.weights]
    theirs = [layer for layer in theirs if not isinstance(layer, _PREPROCESSING)]
    ours = [layer for layer in target.layers if layer.weights]
    for layer, copied in zip(theirs, ours, strict=True):
        copied.set_weights(layer.get_weights())


def _application_of(network: Network) -> Application:
    if network.application is None:
        raise TypeError(f"{network.name} is not a network of keras.applications")
    return network.application


def _renamer(
    network: Network, application: Application, source: keras.Model
) -> Callable[[Any], str]:
    """Return the function that names our copy of a layer."""
    names = {layer.name: application.rename(layer.name) for layer in source.layers}
    numbered: dict[tuple[str, str], list[tuple[int, str]]] = {}
    blocks_of = application.blocks_of or _blocks_of
    for layer, block in zip(source.layers, blocks_of(network, source), strict=True):
        match = _NUMBERED.fullmatch(layer.name)
        if match:
            kind, number = match[1], int(match[2] or 0)
            numbered.setdefault((block, kind), []).append((number, layer.name))
    for (block, kind), group in numbered.items():
        for number, (_, name) in enumerate(sorted(group), start=1):
            names[name] = f"{block}_{kind}{number if len(group) > 1 else ''}"
    return lambda layer: names.get(layer.name, application.rename(layer.name))


def _addition_name(application: Application, operation: Any) -> str:
    """Name an addition after the branch that it adds."""
    branch = str(parents(operation)[-1].name)
    return application.rename(branch).replace("_identity", "_add")


def _blocks_of(network: Network, source: keras.Model) -> list[str]:
    """Return the block of each layer, in graph order.

    Blocks follow each other there: every path passes through the last layer of each.
    """
    rename = _application_of(network).rename
    owners, current = [], network.blocks[0]
    for layer in source.layers:
        current = network.block_of(rename(layer.name)) or current
        owners.append(current)
    return owners
