"""Models to and from `.keras` files."""

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
    """Read a `.keras` file in safe mode: no code from the file runs.

    The archive's checksums, the classes its config names and, in a process of their own, its
    weights are checked before Keras reads it: the HDF5 library can crash on a damaged file.

    Raises:
        ModelError: There is no such file, it is no Keras model, it is damaged, or it holds
            code.
    """
    if not path.is_file():
        raise ModelError(
            f"No model file {path.name}", expected="a .keras file", received="nothing there"
        )
    _check(path)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # zipfile, json, h5py and Keras raise many kinds here
        raise _unreadable(path, error) from error


def _check(path: Path) -> None:
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
                raise ValueError(f"{damaged} with another checksum")
            _refuse_code(json.loads(archive.read("config.json")))
            # A stored part lies in the archive as it is, but its library wants a file.
            scan(Path(archive.extract(_WEIGHTS, folder)))
    except ModelError as error:
        raise _unreadable(path, error) from error
    except Exception as error:  # zipfile and json raise many kinds on damaged bytes
        raise _unreadable(path, error) from error


def _refuse_code(config: Any) -> None:
    """Refuse a config that names a class outside Keras and this library, or a lambda."""
    waiting = [config]
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, dict):
            module, name = thing.get("module"), thing.get("class_name")
            strange = isinstance(module, str) and module.split(".")[0] not in _MODULES
            if strange or name in ("Lambda", "__lambda__"):
                raise ValueError(f"code or a class of elsewhere: {module} {name}"[:200])
            waiting += thing.values()
        elif isinstance(thing, list):
            waiting += thing


def _unreadable(path: Path, error: Exception) -> ModelError:
    told = error.received if isinstance(error, ModelError) else str(error)
    return ModelError(
        f"Cannot read the model {path.name}",
        expected="a .keras file of this library",
        received=told.splitlines()[0][:300] if told else type(error).__name__,
    )
