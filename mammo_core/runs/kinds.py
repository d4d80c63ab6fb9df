"""Every kind of output that a store can contain."""

from typing import Any

from mammo_core.datasets.kinds import Kind
from mammo_core.errors import RecordError
from mammo_core.evaluation.kinds import EVALUATION, REGIONS
from mammo_core.features.kinds import FRAME, NEW_IMAGES, VALIDATION
from mammo_core.ingest.kinds import IMAGE_DATASET, PATCH_DATASET
from mammo_core.registry.kinds import GATE, PUSH
from mammo_core.scoring.kinds import SCORES
from mammo_core.sources.kinds import TABLES
from mammo_core.training.kinds import IMAGE_TRAINING, PATCH_TRAINING

#: Folder → kind.
KINDS: dict[str, Kind[Any]] = {
    kind.folder: kind
    for kind in (
        TABLES,
        IMAGE_DATASET,
        PATCH_DATASET,
        FRAME,
        VALIDATION,
        NEW_IMAGES,
        PATCH_TRAINING,
        IMAGE_TRAINING,
        EVALUATION,
        REGIONS,
        GATE,
        PUSH,
        SCORES,
    )
}


def register_kind(kind: Kind[Any]) -> Kind[Any]:
    """Add a kind, so that garbage collection knows which of its outputs are intermediate.

    Where the module that registers a kind is not imported, its outputs are kept.

    Args:
        kind: The kind. Registering the same one again has no effect.

    Returns:
        The same kind.

    Raises:
        RecordError: The folder is taken.
    """
    if KINDS.setdefault(kind.folder, kind) != kind:
        raise RecordError(
            f"The kind of {kind.folder}/ cannot be registered",
            expected="a folder that no other kind has",
            received=kind.folder,
        )
    return kind
