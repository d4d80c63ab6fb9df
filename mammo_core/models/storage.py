"""Saving and loading models as `.keras` files."""

import copy
import math
import random
from pathlib import Path
from typing import Any

import keras

from mammo_core.documents import parse_json
from mammo_core.errors import ModelError
from mammo_core.models.keras2.hdf5 import read_archive

_MODULES = ("keras", "mammo_core", "builtins")
#: Classes of Keras that run code, or read files that a config names.
_REFUSED = {
    "Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer",
    "StringLookup", "IntegerLookup", "TextVectorization", "FeatureSpace",
}  # fmt: skip
#: Values of a config, and classes in it (a layer has five). The largest networks of Keras have
#: 1,000 layers.
_VALUES = 1_000_000
_CLASSES = 50_000
#: Values of a tensor between layers, for one image: the largest have about a hundred million.
_LARGEST_TENSOR = 2**31


def save_model(model: keras.Model, path: Path) -> None:
    """Write a model as a `.keras` file (weights and architecture, no optimizer)."""
    if path.suffix != ".keras":
        raise ModelError(
            f"Cannot save a model as {path.name}",
            expected="a name ending in .keras",
            received=path.name,
        )
    model.save(path)


def load_model(path: Path) -> keras.Model:
    """Load a `.keras` file in safe mode: no code from the file runs.

    The archive's checksums, the classes named in its config and, in a separate process, its
    weights are verified before Keras reads the file: the HDF5 library can crash on damaged data.

    Raises:
        ModelError: There is no such file, it is not a Keras model, it is damaged, or it contains
            code.
    """
    if not path.is_file():
        raise ModelError(
            f"No model file {path.name}", expected="a .keras file", received="nothing there"
        )
    _verify(path)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # zipfile, json, h5py and Keras raise many kinds here
        raise _unreadable_error(path, error) from error


def _verify(path: Path) -> None:
    try:
        content, stored = read_archive(path)
        config = parse_json(content, max_bytes=2**24, max_values=_VALUES)
        _refuse_code(config)
        _refuse_large(config, stored)
    except Exception as error:  # Keras raises many kinds on configs that it cannot build
        raise _unreadable_error(path, error) from error


def _refuse_code(config: Any) -> None:
    """Raise an error for a config with a class outside Keras and this library, or a lambda."""
    pending, classes = [config], 0
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            module, name = value.get("module"), value.get("class_name")
            foreign = isinstance(module, str) and module.split(".")[0] not in _MODULES
            if foreign or name in _REFUSED:
                raise ValueError(f"code or a foreign class: {module} {name}"[:200])
            classes += "class_name" in value
            if classes > _CLASSES:
                raise ValueError(f"more than {_CLASSES} layers and settings")
            pending += value.values()
        elif isinstance(value, list):
            pending += value


def _refuse_large(config: Any, stored: int) -> None:
    """Raise an error for a config whose network is larger than the weights stored with it.

    The network is built without memory for its weights: a few digits of a config can ask for
    terabytes.
    """
    from keras.src.backend.common import global_state  # no public name

    state = random.getstate()  # layers without a seed draw one
    network = copy.deepcopy(config)
    if isinstance(network, dict):
        network.pop("compile_config", None)  # an optimizer needs memory at once; it is not loaded
    try:
        with keras.StatelessScope(initialize_variables=False):
            model = keras.saving.deserialize_keras_object(network, safe_mode=True)
    finally:
        random.setstate(state)
        global_state.set_global_attribute("uninitialized_variables", [])
    if not isinstance(model, keras.Model):
        raise ValueError(f"a {type(model).__name__} instead of a network")
    count = sum(math.prod(weight.shape) for weight in model.weights)
    if count > stored:
        raise ValueError(f"a network of {count} weights, with {stored} stored")
    for operation in getattr(model, "operations", ()):
        for node in operation._inbound_nodes:
            for tensor in node.output_tensors:
                size = math.prod(side for side in tensor.shape if side)
                if size > _LARGEST_TENSOR:
                    raise ValueError(f"layer {operation.name} with {size} outputs"[:200])


def _unreadable_error(path: Path, error: Exception) -> ModelError:
    message = error.received if isinstance(error, ModelError) else str(error)
    return ModelError(
        f"Cannot read the model {path.name}",
        expected="a .keras file of this library",
        received=message.splitlines()[0][:300] if message else type(error).__name__,
    )
