"""Weights from a file, a package or another model, checked layer by layer."""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from mammo_core.errors import ModelError
from mammo_core.models.registry import Network
from mammo_core.models.storage import load_model

_IMAGENET = {
    "resnet50": "resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "vgg16": "vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
}
_IMAGENET_HOME = "https://storage.googleapis.com/tensorflow/keras-applications/"


def load_weights(model: keras.Model, body: keras.Model, network: Network, weights: str) -> None:
    """Load a patch network's weights.

    Args:
        model: The patch classifier.
        body: Its layers up to the features (shared with `model`).
        network: Its contract.
        weights: `"imagenet"` or a file, see `NetworkConfig`. From a `.keras` file the head
            comes too when it has as many classes.

    Raises:
        ModelError: There are no such weights, they cannot be fetched, or do not fit.
    """
    if weights == "imagenet":
        path = _fetch_imagenet(network)
    else:
        path = Path(weights)
        if not path.is_file():
            raise ModelError(
                f"No weights file {weights}",
                expected='"none", "imagenet" or a .keras or .h5 file',
                received=weights,
            )
    if path.suffix == ".keras":
        source = load_model(path)
        transfer(source, body, what=path.name)
        head, theirs = model.get_layer("predictions"), source.layers[-1]
        if [w.shape for w in head.weights] == [w.shape for w in theirs.weights]:
            head.set_weights(theirs.get_weights())
        return
    try:
        body.load_weights(path)
    except Exception as error:  # h5py and Keras raise many kinds here
        raise ModelError(
            f"The weights in {path.name} do not fit {network.name}",
            expected=f"weights of {network.name} without its head",
            received=str(error).splitlines()[0] if str(error) else type(error).__name__,
        ) from error


def transfer(source: keras.Model, target: keras.Model, *, what: str) -> list[str]:
    """Copy weights by layer name into every layer of a model, and compare them after.

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
        given = theirs[layer.name].get_weights()
        if [value.shape for value in given] != shapes:
            raise ModelError(
                f"Layer {layer.name} of {what} does not fit",
                expected=f"weights {shapes}",
                received=f"weights {[value.shape for value in given]}",
            )
        layer.set_weights(given)
        for weight, value in zip(layer.get_weights(), given, strict=True):
            if not np.array_equal(weight, value, equal_nan=True):
                raise ModelError(
                    f"Layer {layer.name} did not take the weights of {what}",
                    expected="equal values after the copy",
                    received=f"a largest difference of {np.abs(weight - value).max()}",
                    hint="Do the two models use the same precision?",
                )
        copied.append(layer.name)
    return copied


def _fetch_imagenet(network: Network) -> Path:
    if not network.imagenet:
        raise ModelError(
            f"There are no ImageNet weights for {network.name}",
            expected='weights "none" or a file; ImageNet exists for resnet50 and vgg16',
            received="imagenet",
        )
    name = _IMAGENET[network.name]
    try:
        return Path(
            keras.utils.get_file(Path(name).name, _IMAGENET_HOME + name, cache_subdir="models")
        )
    except Exception as error:  # urllib, sockets and Keras raise many kinds here
        raise ModelError(
            f"Cannot fetch the ImageNet weights of {network.name}",
            expected=f"{Path(name).name} under ~/.keras/models, or {_IMAGENET_HOME} reachable",
            received=str(error).splitlines()[0] if str(error) else type(error).__name__,
            hint='Give a file as weights, or "none" to start from random weights',
        ) from error
