"""`.keras` files whose bytes depend on the model only.

Keras writes the time into metadata.json and into the zip directory, the state of the optimizer
beside the weights, and memory addresses as ids of shared objects. None of this belongs to the
model, and the id of a model is a hash of its bytes.
"""

import json
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mammo_core.models.backend import prepare_keras

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time in a zip file."""

_SHARED = re.compile(r'("shared_object_id": )(\d+)')


def write_model(model: Any, path: Path) -> None:
    """Write a Keras model without its optimizer; the same model gives the same bytes.

    Args:
        model: A `keras.Model`.
        path: Path of the `.keras` file.
    """
    import_keras()
    from mammo_core.models.storage import load_model, save_model

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        first, second = Path(folder) / "first.keras", Path(folder) / "second.keras"
        save_model(model, first)
        # A model that is loaded without compiling has no optimizer to save.
        save_model(load_model(first), second)
        _canonicalize(second, path)


def import_keras() -> Any:
    """Import Keras without log lines, on TensorFlow unless the environment sets a backend."""
    prepare_keras()
    with _silence_native_code():
        import keras

    return keras


@contextmanager
def _silence_native_code() -> Iterator[None]:
    """Discard what native code writes to standard error; Python's errors are still raised.

    TensorFlow writes its first lines before it reads its log level.
    """
    sys.stderr.flush()
    standard_error = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(standard_error, 2)
        os.close(standard_error)
        os.close(null)


def _canonicalize(source: Path, target: Path) -> None:
    with (
        zipfile.ZipFile(source) as read,
        zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as written,
    ):
        for name in sorted(read.namelist()):
            data = read.read(name)
            if name == "metadata.json":
                metadata = json.loads(data)
                metadata["date_saved"] = "1980-01-01@00:00:00"
                data = json.dumps(metadata, sort_keys=True).encode()
            elif name == "config.json":
                data = _renumber(data.decode("utf-8")).encode("utf-8")
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            written.writestr(entry, data)


def _renumber(config: str) -> str:
    """Replace the ids of shared objects by 1, 2, … in order of appearance."""
    numbers: dict[str, int] = {}
    return _SHARED.sub(
        lambda match: match[1] + str(numbers.setdefault(match[2], len(numbers) + 1)), config
    )
