"""Weights from a file, a store or another model, verified layer by layer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mammo_core.errors import MammoError, ModelError
from mammo_core.models.applications import copy_weights, load_application
from mammo_core.models.keras2.hdf5 import scan
from mammo_core.models.registry import NETWORKS, Network
from mammo_core.models.storage import load_model
from mammo_core.models.weight_files import local_weights
from mammo_core.store import open_store

#: Of PyTorch and safetensors: `torch.save` knows no ending, these are the usual ones.
_CHECKPOINTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
_SUFFIXES = (".keras", ".h5", *_CHECKPOINTS)
_FILES = "a .keras or .h5 file, or a checkpoint of PyTorch (.safetensors, .pt, .pth, .bin, .ckpt)"
_NEW_HEAD = "a new head"


def load_weights(
    model: keras.Model,
    body: keras.Model,
    network: Network,
    weights: str,
    classes: Sequence[str] = (),
    stored_classes: Sequence[str] = (),
) -> str:
    """Load a patch network's weights.

    Args:
        model: The patch classifier.
        body: Its layers up to the features (shared with `model`).
        network: The registered network.
        weights: `"imagenet"`, a file or its URI, see `NetworkConfig`.
        classes: Names of the model's classes, by index.
        stored_classes: Those of the head in the file; empty if unknown. The head of a `.keras`
            file is loaded too if both are known and the same.

    Returns:
        What became of the head, in words.

    Raises:
        ModelError: There are no such weights, they cannot be fetched, or they do not fit.
    """
    if weights == "imagenet":
        _load_imagenet(body, network)
        return _NEW_HEAD
    names = (tuple(classes), tuple(stored_classes))
    path = local_weights(weights)
    if path is not None:
        return _load_file(model, body, network, path, names)
    folder, _, name = weights.rpartition("/")
    _require_suffix(weights)
    try:
        path = open_store(folder).fetch(name)
    except MammoError as error:
        raise ModelError(
            f"Cannot fetch the weights {weights}",
            expected=f"{_FILES} at this URI",
            received=str(error),
        ) from error
    return _load_file(model, body, network, path, names)


def transfer_weights(source: keras.Model, target: keras.Model, *, what: str) -> list[str]:
    """Copy weights by layer name into every layer of a model, and verify them.

    Args:
        source: Model to copy from; may have more layers.
        target: Model to copy into.
        what: Name of the source in errors.

    Returns:
        Names of the layers that were copied.

    Raises:
        ModelError: A layer with weights is missing from the source or has other shapes.
    """
    theirs: dict[str, Any] = {layer.name: layer for layer in source.layers}
    copied = []
    for layer in target.layers:
        if not layer.weights:
            continue
        shapes = [tuple(weight.shape) for weight in layer.weights]
        if layer.name not in theirs:
            raise ModelError(
                f"{what} has no layer {layer.name}",
                expected=f"a layer of that name with weights {shapes}",
                received=f"layers {', '.join(list(theirs)[:8])}, …",
            )
        set_layer_weights(layer, theirs[layer.name].get_weights(), what=what)
        copied.append(layer.name)
    return copied


def set_layer_weights(layer: Any, values: list[Any], *, what: str) -> None:
    """Set the weights of a layer, and verify them.

    Args:
        layer: The layer.
        values: One array per weight, with the shape of that weight.
        what: Where they come from, for errors.

    Raises:
        ModelError: The shapes differ, or the layer changed the values.
    """
    shapes = [tuple(weight.shape) for weight in layer.weights]
    if [value.shape for value in values] != shapes:
        raise ModelError(
            f"Layer {layer.name} of {what} does not fit",
            expected=f"weights {shapes}",
            received=f"weights {[value.shape for value in values]}",
        )
    layer.set_weights(values)
    for weight, value in zip(layer.get_weights(), values, strict=True):
        if not np.array_equal(weight, value, equal_nan=True):
            raise ModelError(
                f"Layer {layer.name} did not take the weights of {what}",
                expected="equal values after the copy",
                received=f"a largest difference of {np.abs(weight - value).max()}",
                hint="Do the two models use the same precision?",
            )


def _require_suffix(weights: str) -> None:
    if not weights.endswith(_SUFFIXES):
        raise ModelError(
            f"Cannot read weights from {weights}",
            expected=f'"none", "imagenet" or {_FILES}',
            received=weights,
        )


def _load_file(
    model: keras.Model,
    body: keras.Model,
    network: Network,
    path: Path,
    names: tuple[tuple[str, ...], tuple[str, ...]],
) -> str:
    if not path.is_file():
        raise ModelError(
            f"No weights file {path}",
            expected=f'"none", "imagenet" or {_FILES}',
            received=str(path),
        )
    _require_suffix(str(path))
    if path.suffix == ".keras":
        source = load_model(path)
        transfer_weights(source, body, what=path.name)
        head, theirs = model.get_layer("predictions"), source.layers[-1]
        ours, stored = names
        if not stored:
            return f"{_NEW_HEAD}: no class names are stored with it (weights_classes gives them)"
        if stored != ours:
            return f"{_NEW_HEAD}: its classes are {', '.join(stored)}, not {', '.join(ours)}"
        set_layer_weights(head, theirs.get_weights(), what=path.name)
        return f"with its head, classes {', '.join(stored)}"
    if path.suffix in _CHECKPOINTS:
        from mammo_core.models.checkpoints import read_checkpoint
        from mammo_core.models.checkpoints.transfer import load_body

        load_body(body, network, read_checkpoint(path).tensors, path.name)
        return _NEW_HEAD
    # A file of an application has the layers as Keras builds them.
    target = body
    if network.application is not None:
        target = load_application(network.application, network.channels)
    scan(path)  # the HDF5 library can crash on damaged data
    try:
        target.load_weights(path)
    except Exception as error:  # h5py and Keras raise many kinds here
        raise ModelError(
            f"The weights in {path.name} do not fit {network.name}",
            expected=f"weights of {network.name} without its head",
            received=_first_line(error),
        ) from error
    if target is not body:
        copy_weights(target, body)
    return _NEW_HEAD


def _load_imagenet(body: keras.Model, network: Network) -> None:
    if network.imagenet is None:
        available = ", ".join(name for name, other in NETWORKS.items() if other.imagenet)
        raise ModelError(
            f"There are no ImageNet weights for {network.name}",
            expected=f'weights "none" or a file; ImageNet exists for {available}',
            received="imagenet",
        )
    try:
        source = load_application(network.imagenet, network.channels, "imagenet")
    except Exception as error:  # urllib, sockets and Keras raise many kinds here
        raise ModelError(
            f"Cannot fetch the ImageNet weights of {network.name}",
            expected="keras.applications to download them, or to find them in "
            "~/.keras/models ($KERAS_HOME/models)",
            received=_first_line(error),
            hint='Set weights to a file or a store URI, or to "none" to start from random weights',
        ) from error
    if network.imagenet_names is None:
        copy_weights(source, body)
        return
    for layer in source.layers:
        if layer.weights:
            ours = body.get_layer(network.imagenet_names(layer.name))
            set_layer_weights(ours, layer.get_weights(), what="ImageNet")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
