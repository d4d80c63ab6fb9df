"""Trained networks in the store."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mammo_core.datasets import Manifest, StoredFile
from mammo_core.datasets.manifests import fetch_verified, put_bytes
from mammo_core.documents import parse_json
from mammo_core.models.backend import prepare_keras
from mammo_core.store import Store

_MODEL = "model.keras"
_HISTORY = "history.json"


def load_network(store: Store, training: Manifest) -> Any:
    """Load the network of a training.

    Raises:
        RecordError: The stored file is damaged.
        ModelError: It is not a Keras model.
    """
    prepare_keras()
    from mammo_core.models import load_model

    stored = fetch_verified(store, training.file(_MODEL))
    with tempfile.TemporaryDirectory(prefix="mammo-model-") as folder:
        path = Path(folder) / _MODEL
        path.write_bytes(stored.read_bytes())
        return load_model(path)


def has_history(training: Manifest) -> bool:
    """Whether an output is a training that has a history: an ensemble has none."""
    return any(file.name == _HISTORY for file in training.files)


def read_history(store: Store, training: Manifest) -> list[dict[str, Any]]:
    """Return the epochs of a training: stage, epoch, losses and metrics."""
    rows: list[dict[str, Any]] = parse_json(
        fetch_verified(store, training.file(_HISTORY)).read_bytes()
    )
    return rows


def put_network(
    store: Store, folder: str, model_file: bytes, history: Sequence[dict[str, Any]]
) -> tuple[StoredFile, StoredFile]:
    """Write the files of a training: its network and its epochs."""
    rows = json.dumps(list(history), sort_keys=True, indent=1).encode()
    return put_bytes(store, folder, _MODEL, model_file), put_bytes(store, folder, _HISTORY, rows)
