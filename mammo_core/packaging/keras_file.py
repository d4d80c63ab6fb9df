"""`.keras` files whose bytes depend on the model alone.

Keras writes the time into metadata.json and into the zip's directory, the optimizer's state
beside the weights, and addresses in memory as ids of shared objects. None of them belongs to
the model, and a model's id is the hash of its bytes.
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

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip file can hold."""

_SHARED = re.compile(r'("shared_object_id": )(\d+)')


def write_model(model: Any, path: Path) -> None:
    """Write a Keras model, without its optimizer: the same model, the same bytes.

    Args:
        model: A `keras.Model`.
        path: Of the `.keras` file.
    """
    import_keras()
    from mammo_core.models.storage import load_model, save_model

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        first, second = Path(folder) / "first.keras", Path(folder) / "second.keras"
        save_model(model, first)
        # Loaded without being compiled there is no optimizer left to save.
        save_model(load_model(first), second)
        _canonical(second, path)


def import_keras() -> Any:
    """Import Keras, quietly and on TensorFlow unless the environment says otherwise."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with _quiet_native():
        import keras

    return keras


@contextmanager
def _quiet_native() -> Iterator[None]:
    """Silence what native code writes to standard error; Python's errors are raised as ever.

    TensorFlow's first lines come before it reads its log level.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _canonical(source: Path, target: Path) -> None:
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
                data = _renumbered(data.decode("utf-8")).encode("utf-8")
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            written.writestr(entry, data)


def _renumbered(config: str) -> str:
    """Replace the ids of shared objects by 1, 2, … in order of appearance."""
    numbers: dict[str, int] = {}
    return _SHARED.sub(
        lambda found: found[1] + str(numbers.setdefault(found[2], len(numbers) + 1)), config
    )
