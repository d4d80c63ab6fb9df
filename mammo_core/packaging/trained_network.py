"""Publishing a trained network as the output of a step."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mammo_core.datasets import Manifest, publish
from mammo_core.packaging.keras_file import write_model
from mammo_core.store import Store
from mammo_core.training.networks import put_network


def publish_network(
    store: Store, manifest: Manifest, model: Any, history: Sequence[dict[str, Any]]
) -> Manifest:
    """Publish a network as an output.

    Args:
        store: The object store.
        manifest: The output, without files and counts.
        model: The network.
        history: Its epochs.
    """
    with tempfile.TemporaryDirectory(prefix="mammo-model-") as folder:
        path = Path(folder) / "model.keras"
        write_model(model, path)
        files = put_network(store, manifest.folder, path.read_bytes(), history)
    counts = {"epochs": len(history), "parameters": int(model.count_params())}
    return publish(store, manifest.model_copy(update={"files": files, "counts": counts}))
