"""A trained network as the output of a step."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mammo_core.datasets import Manifest
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.packaging.keras_file import write_model
from mammo_core.training.networks import put_network


def draft_network(
    attempt: Attempt, manifest: Manifest, model: Any, history: Sequence[dict[str, Any]]
) -> Draft:
    """Write the files of a network as those of an output.

    Args:
        attempt: The attempt to make the output.
        manifest: The output, without files and counts.
        model: The network.
        history: Its epochs.
    """
    folder = attempt.folder(manifest.folder)
    with tempfile.TemporaryDirectory(prefix="mammo-model-") as temporary:
        path = Path(temporary) / "model.keras"
        write_model(model, path)
        files = put_network(attempt.store, folder, path.read_bytes(), history)
    counts = {"epochs": len(history), "parameters": int(model.count_params())}
    return Draft(manifest.model_copy(update={"files": files, "counts": counts}))
