"""Saving and loading models as `.keras` files."""

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras

from mammo_core.errors import ModelError
from mammo_core.models.keras2.hdf5 import scan

_WEIGHTS = "model.weights.h5"
_PARTS = {"config.json", "metadata.json", _WEIGHTS}
_BYTES = 8 << 30
_MODULES = ("keras", "mammo_core", "builtins")


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
        with path.open("rb") as file:
            if file.read(4) != b"PK\x03\x04":  # an archive may begin anywhere in a file
                raise ValueError("a file that does not begin as one")
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
            parts = {part.filename: part.file_size for part in archive.infolist()}
            if set(parts) - _PARTS or len(parts) != len(archive.infolist()):
                raise ValueError(f"parts {', '.join(sorted(parts))[:200]}")
            if _PARTS - set(parts) or sum(parts.values()) > _BYTES:
                raise ValueError(f"{sum(parts.values())} bytes in {', '.join(sorted(parts))}")
            damaged = archive.testzip()
            if damaged is not None:
                raise ValueError(f"{damaged} with a wrong checksum")
            _refuse_code(json.loads(archive.read("config.json")))
            # The part is stored uncompressed, but the HDF5 library needs a file.
            scan(Path(archive.extract(_WEIGHTS, folder)))
    except ModelError as error:
        raise _unreadable_error(path, error) from error
    except Exception as error:  # zipfile and json raise many kinds on damaged bytes
        raise _unreadable_error(path, error) from error


def _refuse_code(config: Any) -> None:
    """Raise an error for a config with a class outside Keras and this library, or a lambda."""
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            module, name = value.get("module"), value.get("class_name")
            foreign = isinstance(module, str) and module.split(".")[0] not in _MODULES
            if foreign or name in ("Lambda", "__lambda__"):
                raise ValueError(f"code or a foreign class: {module} {name}"[:200])
            pending += value.values()
        elif isinstance(value, list):
            pending += value


def _unreadable_error(path: Path, error: Exception) -> ModelError:
    message = error.received if isinstance(error, ModelError) else str(error)
    return ModelError(
        f"Cannot read the model {path.name}",
        expected="a .keras file of this library",
        received=message.splitlines()[0][:300] if message else type(error).__name__,
    )
