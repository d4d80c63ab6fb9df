"""Whole models that Keras 2.0.8 saved, as Keras 3 models (original-system.md §10).

An own reader of architecture and weights: nothing in the file is run. Layers and settings
come from an allow-list, weights go to their layers by name, and the HDF5 library reads the
file in a process of its own.
"""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from mammo_core.errors import ModelError
from mammo_core.models.keras2.architecture import Entry, parse
from mammo_core.models.keras2.graph import build
from mammo_core.models.keras2.hdf5 import read_model
from mammo_core.models.keras2.weights import assign, check_bounds


@dataclass(frozen=True)
class Keras2Report:
    """What was found in a file of Keras 2.

    Attributes:
        file: Its name.
        sha256: Of the file, hex.
        keras_version: That wrote it.
        name: Of the model.
        layers: Of the outermost model and all models in it, inputs included.
        parameters: Weights, counted one by one.
        inputs: Shapes without the batch; None is any size.
        outputs: Shapes without the batch.
        frozen: Layers with weights that the file marks as not trainable; in the imported
            model everything is trainable.
        ignored: What the file holds beyond the model: the optimizer and its state.
    """

    file: str
    sha256: str
    keras_version: str
    name: str
    layers: int
    parameters: int
    inputs: tuple[tuple[int | None, ...], ...]
    outputs: tuple[tuple[int | None, ...], ...]
    frozen: tuple[str, ...]
    ignored: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def import_keras2(path: Path) -> tuple[keras.Model, Keras2Report]:
    """Read a whole model that Keras 2.0.8 saved with `model.save`.

    Args:
        path: Of the `.h5` file.

    Returns:
        The model, float32 and uncompiled, every layer trainable and named as in the file;
        and what was found.

    Raises:
        ModelError: The file is damaged or truncated; was written by another Keras or
            backend; has an unknown layer or setting, or code; lacks a weight, has one too
            many or one of another shape.
    """
    stored = read_model(path)
    if not stored.keras_version.startswith("2.") or stored.backend != "tensorflow":
        raise ModelError(
            f"{path.name} was not saved by Keras 2 on TensorFlow",
            expected="keras_version 2.…, backend tensorflow",
            received=f"keras_version {stored.keras_version[:40] or 'none'}, "
            f"backend {stored.backend[:40] or 'none'}",
        )
    entry = parse(stored.config, [group.name for group in stored.layers], path.name)
    given = [group.name for group in stored.layers]
    # A Sequential's input is no layer of it in the file.
    held = [each for each in entry.layers if each.name in given or "shape" not in each.settings]
    weights = assign(stored, held, path.name)
    check_bounds(weights, path.name)
    model = build(entry, weights, path.name)
    count = sum(values.size for values in weights.values())
    if model.count_params() != count:
        raise ModelError(
            f"The model in {path.name} was not read whole",
            expected=f"{count} parameters",
            received=str(model.count_params()),
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return model, Keras2Report(
        file=path.name,
        sha256=digest,
        keras_version=stored.keras_version,
        name=str(model.name),
        layers=_count(entry),
        parameters=count,
        inputs=tuple(tuple(each.shape[1:]) for each in model.inputs),
        outputs=tuple(tuple(each.shape[1:]) for each in model.outputs),
        frozen=tuple(_frozen(entry)),
        ignored=("optimizer",) if stored.compiled else (),
    )


def _frozen(entry: Entry) -> list[str]:
    if entry.kind is not None and entry.kind.weights and not entry.trainable:
        return [entry.path]
    return [path for layer in entry.layers for path in _frozen(layer)]


def _count(entry: Entry) -> int:
    return sum(_count(layer) for layer in entry.layers) if entry.is_model else 1
