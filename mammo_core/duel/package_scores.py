"""The probabilities of one package for images of a source: those of `mammo score`."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mammo_core.duel.source_images import COLUMNS, read_source_image
from mammo_core.packaging import Package
from mammo_core.processes import lighter_batch
from mammo_core.scoring.model import ScoringModel
from mammo_core.scoring.scorer import predict_units
from mammo_core.scoring.units import ScoringUnit, build_unit
from mammo_core.sources.files.source_files import SourceFiles

_BATCH = 8
_WORKERS = 2
SCORE_COLUMNS = ("image_id", "probability", "reason")


@dataclass(frozen=True)
class ScoredBatch:
    """Some images that a package scored together.

    Attributes:
        scores: Each unit with its probability (malignant, [0, 1], not calibrated).
        rejects: Image id and reason of each image that the package does not score.
    """

    scores: tuple[tuple[ScoringUnit, float], ...]
    rejects: tuple[tuple[str, str], ...]


def score_source_images(
    package: Package,
    rows: pd.DataFrame,
    source: SourceFiles,
    advance: Callable[[int], None] = lambda count: None,
) -> pd.DataFrame:
    """Score images through a package: see `scored_batches`.

    Returns:
        image_id, probability (malignant, [0, 1], not calibrated; NaN if it is not scored), reason
        (why it is not scored, or empty), sorted by image id.

    Raises:
        SourceError: A file changed since it was indexed.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    scored: dict[str, tuple[float, str]] = {}
    for batch in scored_batches(package, rows, source, advance):
        scored.update({id: (float("nan"), reason) for id, reason in batch.rejects})
        for unit, probability in batch.scores:
            scored.update({image.digest: (probability, "") for image in unit.images})
    table = [(id, *scored[id]) for id in sorted(scored)]
    return pd.DataFrame(table, columns=list(SCORE_COLUMNS))


def scored_batches(
    package: Package,
    rows: pd.DataFrame,
    source: SourceFiles,
    advance: Callable[[int], None] = lambda count: None,
) -> Iterator[ScoredBatch]:
    """Score images through a package: its conversion, geometry, policy, unit and flips.

    Args:
        package: The package.
        rows: The images, with `source_images.COLUMNS`. For a package of two views, those of one
            patient, exam and side are one breast, as in an evaluation.
        source: The files of the source.
        advance: Called with the number of images after every batch.

    Yields:
        The batches; each holds its pixels in memory.

    Raises:
        SourceError: A file changed since it was indexed.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    model = ScoringModel.from_packages([package])
    size = min(lighter_batch(_BATCH), max(len(rows), 1))
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="decode") as pool:
        for groups in _batches(rows, model, size):
            images = [row for group in groups for row in group]
            read = pool.map(lambda row: read_source_image(row, source, model), images)
            rejects: list[tuple[str, str]] = []
            # A unit keeps no pixels that it does not need.
            built = [_build(group, read, model, rejects) for group in groups]
            units = [unit for unit in built if unit is not None]
            probabilities = predict_units(model, units, size)[0].tolist() if units else []
            scores = tuple(zip(units, probabilities, strict=True))
            yield ScoredBatch(scores, tuple(rejects))
            advance(len(images))


def _build(
    group: Sequence[Any],
    read: Iterator[Any],
    model: ScoringModel,
    rejects: list[tuple[str, str]],
) -> ScoringUnit | None:
    """Return the unit of a group, or None; add the images that are not scored."""
    items = [next(read) for _ in group]
    unit, without = build_unit(items, model.unit)
    ids = {row.path: row.image_id for row in group}
    rejects += [(ids[reject.name], reject.reason) for reject in without]
    return unit


def _batches(rows: pd.DataFrame, model: ScoringModel, size: int) -> Iterator[list[list[Any]]]:
    """Yield the images of the next units, at most `size` of them."""
    groups: dict[object, list[Any]] = defaultdict(list)
    for row in rows[list(COLUMNS)].sort_values("image_id").itertuples(index=False):
        breast = (row.patient_key, row.exam_key, row.laterality)
        groups[row.image_id if model.unit == "image" else breast].append(row)
    ordered = list(groups.values())
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]
