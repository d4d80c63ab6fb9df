"""Tensors of a checkpoint into the layers of a network: each one used once, none left over."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt

from mammo_core.errors import ModelError
from mammo_core.models.checkpoints.names import NAME_MAPS, NameMap, map_of
from mammo_core.models.registry import Network
from mammo_core.models.weights import set_layer_weights

Arrays = Mapping[str, npt.NDArray[Any]]

# Batches that PyTorch's normalization has counted; of no use here.
_COUNTS: Final = re.compile(r".*\.num_batches_tracked")
_SHOWN: Final = 5


def load_body(body: keras.Model, network: Network, tensors: Arrays, what: str) -> NameMap:
    """Load the weights of a network without its classifier.

    Args:
        body: The layers of a network up to its features.
        network: The registered network.
        tensors: Tensors by name, of a library in `NAME_MAPS`.
        what: Name of the checkpoint in errors.

    Returns:
        The map that fits.

    Raises:
        ModelError: The names are of no known library, of another network, or tensors are missing,
            left over, of another shape or not finite.
    """
    names = map_of(tensors)
    if names is None or not network.name.startswith(names.family):
        known = sorted({one.name for one in NAME_MAPS if network.name.startswith(one.family)})
        raise ModelError(
            f"The weights in {what} are not those of {network.name}",
            expected=f"tensors named as in {', '.join(known)}"
            if known
            else "a network of which PyTorch's names are known: EfficientNet or ConvNeXt",
            received=names.name if names else f"tensors {', '.join(list(tensors)[:_SHOWN])}, …",
        )
    layers = [layer for layer in body.layers if layer.weights]
    every = tuple(layer.name for layer in layers)
    used = load_layers(layers, tensors, lambda layer: names.prefix(layer, every), what)
    require_all_used(tensors, used, (names.ignored,), what)
    return names


def load_layers(
    layers: Iterable[Any], tensors: Arrays, prefix: Callable[[str], str], what: str
) -> set[str]:
    """Load the weights of layers.

    Args:
        layers: Layers with weights.
        tensors: Tensors by name, in PyTorch's layout.
        prefix: Returns the name that the tensors of a layer begin with.
        what: Name of the checkpoint in errors.

    Returns:
        Names of the tensors that were used.

    Raises:
        ModelError: A tensor is missing, of another shape or not finite.
    """
    used: set[str] = set()
    for layer in layers:
        values = []
        for name, convert in _parts(layer, prefix(layer.name)):
            if name not in tensors:
                raise ModelError(
                    f"{what} has no tensor {name}",
                    expected=f"the weights of layer {layer.name}",
                    received=f"{len(tensors)} tensors, {', '.join(list(tensors)[:_SHOWN])}, …",
                )
            value = np.asarray(tensors[name], np.float32)
            if not np.isfinite(value).all():
                raise ModelError(
                    f"{what} cannot be used as weights",
                    expected="finite numbers",
                    received=f"NaN or infinity in {name}",
                )
            used.add(name)
            values.append(convert(value))
        set_layer_weights(layer, values, what=what)
    return used


def require_all_used(tensors: Arrays, used: set[str], ignored: Iterable[str], what: str) -> None:
    """Raise an error for a tensor that no layer took: the checkpoint is of a larger network."""
    rules = [_COUNTS, *map(re.compile, ignored)]
    left = [
        name
        for name in tensors
        if name not in used and not any(rule.fullmatch(name) for rule in rules)
    ]
    if left:
        raise ModelError(
            f"{what} has more weights than the network",
            expected="each tensor to belong to a layer",
            received=f"{len(left)} others: {', '.join(left[:_SHOWN])}, …",
        )


def _parts(layer: Any, prefix: str) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Yield the tensors of a layer in the order of its weights, each with its conversion."""
    if isinstance(layer, keras.Sequential):
        for number, inner in enumerate(layer.layers):
            yield from _parts(inner, f"{prefix}.{number}")
        return
    if type(layer).__name__ == "LayerScale":
        yield prefix, _as_is
        return
    yield f"{prefix}.weight", _conversion(layer)
    if isinstance(layer, keras.layers.BatchNormalization):
        for name in ("bias", "running_mean", "running_var"):
            yield f"{prefix}.{name}", _as_is
    elif getattr(layer, "use_bias", True):
        yield f"{prefix}.bias", _as_is


def _conversion(layer: Any) -> Callable[[Any], Any]:
    """Return the change from PyTorch's layout (outputs first) to Keras's (outputs last)."""
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return lambda kernel: kernel.transpose(2, 3, 0, 1) if kernel.ndim == 4 else kernel
    if isinstance(layer, keras.layers.Conv2D):
        return lambda kernel: kernel.transpose(2, 3, 1, 0) if kernel.ndim == 4 else kernel
    if isinstance(layer, keras.layers.Dense):
        return lambda kernel: kernel.T
    return _as_is


def _as_is(value: Any) -> Any:
    return value
