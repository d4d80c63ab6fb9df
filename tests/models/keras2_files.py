"""Writes Keras 3 networks as Keras 2.0.8 would, for tests of the import.

The layout follows files that Keras 2.0.8 wrote (shared/data/original_golden/models).
"""

import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from mammo_core.models.graph import nodes

_EXTRA = ("initializer", "regularizer", "constraint")
_KEPT = {
    "Conv2D": ("filters", "kernel_size", "strides", "padding", "dilation_rate", "use_bias"),
    "SeparableConv2D": (
        *("filters", "kernel_size", "strides", "padding", "dilation_rate", "use_bias"),
        "depth_multiplier",
    ),
    "Dense": ("units", "use_bias"),
    "BatchNormalization": ("axis", "momentum", "epsilon", "center", "scale"),
    "Dropout": ("rate",),
    "MaxPooling2D": ("pool_size", "strides", "padding"),
    "AveragePooling2D": ("pool_size", "strides", "padding"),
    "ZeroPadding2D": ("padding",),
    "Concatenate": ("axis",),
    "Reshape": ("target_shape",),
}
_IMAGE = ("Conv2D", "SeparableConv2D", "ZeroPadding2D", "MaxPooling2D", "AveragePooling2D")
_IMAGE += ("GlobalAveragePooling2D", "GlobalMaxPooling2D")
_NORMAL = {"scale": 2.0, "mode": "fan_in", "distribution": "normal", "seed": None}


def randomize(model: keras.Model, seed: int = 0) -> keras.Model:
    """Give a model weights that make its output depend on its input, statistics included."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        shape, name = tuple(weight.shape), weight.name
        if name == "moving_variance":
            weight.assign(rng.uniform(0.5, 2, shape))
        elif "kernel" in name:
            weight.assign(rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape))
        else:
            weight.assign(rng.normal(1 if name == "gamma" else 0, 0.1, shape))
    return model


def write(model: keras.Model, path: Path, optimizer: bool = True) -> dict[str, Any]:
    """Write a model as `model.save` of Keras 2.0.8; returns its config."""
    config = {"class_name": "Model", "config": _model(model)}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.0.8"
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps(config).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            _weights(group.create_group(layer.name), layer)
        if optimizer:
            file.attrs["training_config"] = b'{"loss": "categorical_crossentropy"}'
            file.create_group("optimizer_weights").create_dataset("m", data=np.zeros(3))
    return config


def edit(path: Path, change: Any) -> None:
    """Change a file's config by a function of the parsed JSON."""
    with h5py.File(path, "a") as file:
        text = file.attrs["model_config"]
        config = json.loads(text)
        file.attrs["model_config"] = json.dumps(change(config) or config).encode()


def _weights(group: h5py.Group, layer: Any) -> None:
    weights = _ordered(layer)
    names = [f"{owner}/{kind}:0" for owner, kind, _ in weights]
    group.attrs["weight_names"] = [name.encode() for name in names]
    for name, (_, _, values) in zip(names, weights, strict=True):
        group.create_dataset(name, data=values)


def _ordered(layer: Any) -> list[tuple[str, str, np.ndarray]]:
    trainable, frozen = _parts(layer)
    return trainable + frozen


def _parts(layer: Any) -> tuple[list[Any], list[Any]]:
    trainable: list[Any] = []
    frozen: list[Any] = []
    if isinstance(layer, keras.Model):
        for each in layer.layers:
            below = _parts(each)
            trainable += below[0]
            frozen += below[1]
        return trainable, frozen
    for weight in layer.weights:
        group = frozen if weight.name.startswith("moving_") or not layer.trainable else trainable
        group.append((layer.name, weight.name, np.asarray(weight)))
    return trainable, frozen


def _model(model: keras.Model) -> dict[str, Any]:
    # Only the calls that belong to this model: a shared layer may be called elsewhere too.
    own_nodes = set(nodes(model))
    calls = {
        layer.name: [node for node in layer._inbound_nodes if node in own_nodes]
        for layer in model.layers
    }

    def reference(tensor: Any) -> list[Any]:
        layer, number, output = tensor._keras_history
        node = layer._inbound_nodes[number]
        start = 1 if isinstance(layer, keras.Model) else 0
        return [layer.name, start + calls[layer.name].index(node), output]

    layers = []
    for layer in model.layers:
        inner = isinstance(layer, keras.Model)
        inbound = []
        for node in calls[layer.name]:
            if node.input_tensors:
                inbound.append([[*reference(tensor), {}] for tensor in node.input_tensors])
        layers.append(
            {
                "class_name": "Model" if inner else type(layer).__name__,
                "config": _model(layer) if inner else _layer(layer),
                "inbound_nodes": inbound,
                "name": layer.name,
            }
        )
    return {
        "name": model.name,
        "layers": layers,
        "input_layers": [reference(tensor) for tensor in model.inputs],
        "output_layers": [reference(tensor) for tensor in model.outputs],
    }


def _layer(layer: Any) -> dict[str, Any]:
    kind, settings = type(layer).__name__, layer.get_config()
    config: dict[str, Any] = {"name": layer.name, "trainable": layer.trainable}
    if kind == "InputLayer":
        shape = [None, *layer.batch_shape[1:]]
        return {
            "name": layer.name, "dtype": "float32", "sparse": False, "batch_input_shape": shape,
        }  # fmt: skip
    config.update({key: settings[key] for key in _KEPT.get(kind, ())})
    if kind in _IMAGE:
        config["data_format"] = "channels_last"
    if "activation" in settings:
        config["activation"] = settings["activation"]
    for key in settings:
        if key.endswith(_EXTRA) and not (kind == "SeparableConv2D" and key.startswith("kernel")):
            config[key] = None
    if "kernel_initializer" in config:
        config["kernel_initializer"] = {"class_name": "VarianceScaling", "config": dict(_NORMAL)}
        config["kernel_regularizer"] = {"class_name": "L1L2", "config": {"l1": 0.0, "l2": 1e-4}}
    return config
