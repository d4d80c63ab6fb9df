"""The registry of the kinds of outputs that a store can contain.

Each kind is declared in the module `kinds` of the room that makes its outputs.
"""

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

#: Folder → kind; `register_kind` adds one.
KINDS: dict[str, Kind[Any]] = {}


def register_kind(kind: Kind[Any]) -> None:
    """Add a kind, so that garbage collection knows its outputs.

    Raises:
        RecordError: Another kind has the same folder.
    """
    if KINDS.setdefault(kind.folder, kind) is not kind:
        raise RecordError(
            f"Two kinds of outputs use the folder {kind.folder}",
            expected="one kind per folder",
            received=f"{KINDS[kind.folder].facts.__name__} and {kind.facts.__name__}",
        )


for _kind in (
    *(TABLES, IMAGE_DATASET, PATCH_DATASET, FRAME, VALIDATION, NEW_IMAGES),
    *(PATCH_TRAINING, IMAGE_TRAINING, EVALUATION, REGIONS, GATE, PUSH, SCORES),
):
    register_kind(_kind)
