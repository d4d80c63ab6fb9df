"""Whole models that Keras 2.0.8 saved, as Keras 3 models.

The architecture and weights are read without running any code of the file: layers and settings
come from an allow-list, weights are assigned to layers by name, and the HDF5 library reads the
file in a separate process (docs/original-system.md, "Weight files of Keras 2.0.8").
"""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from mammo_core.errors import ModelError
from mammo_core.models.keras2.architecture import LayerEntry, parse
from mammo_core.models.keras2.graph import build
from mammo_core.models.keras2.hdf5 import read_model
from mammo_core.models.keras2.weights import assign, require_valid_statistics


@dataclass(frozen=True)
class Keras2Report:
    """The content of an imported Keras 2 file.

    Attributes:
        file: Name of the file.
        sha256: Digest of the file, hex.
        keras_version: Version that wrote it.
        name: Name of the model.
        layers: Number of layers, inputs and those of nested models included.
        parameters: Number of parameters.
        inputs: Shapes without the batch; None is any size.
        outputs: Shapes without the batch.
        frozen: Layers with weights that the file marks as not trainable; in the imported model
            every layer is trainable.
        ignored: Content of the file besides the model: the optimizer and its state.
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
    """Import a whole model that Keras 2.0.8 saved with `model.save`.

    Args:
        path: The `.h5` file.

    Returns:
        The model (float32, not compiled, every layer trainable and named as in the file) and a
        report.

    Raises:
        ModelError: The file is damaged or truncated; was written by another Keras or backend; has
            an unknown layer or setting, or code; or a weight is missing, extra or of another
            shape.
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
    groups = [group.name for group in stored.layers]
    # The input of a Sequential is not a layer in the file.
    entries = [each for each in entry.layers if each.name in groups or "shape" not in each.settings]
    weights = assign(stored, entries, path.name)
    require_valid_statistics(weights, path.name)
    model = build(entry, weights, path.name)
    count = sum(values.size for values in weights.values())
    if model.count_params() != count:
        raise ModelError(
            f"The model in {path.name} was not read completely",
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


def _frozen(entry: LayerEntry) -> list[str]:
    if entry.kind is not None and entry.kind.weights and not entry.trainable:
        return [entry.path]
    return [path for layer in entry.layers for path in _frozen(layer)]


def _count(entry: LayerEntry) -> int:
    return sum(_count(layer) for layer in entry.layers) if entry.is_model else 1
