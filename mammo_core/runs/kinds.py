"""Every kind of output that a store can contain."""

from typing import Any

from mammo_core.datasets.kinds import Kind
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
