"""The probabilities of one package for images of a source: those of `mammo score`."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd

from mammo_core.duel.source_images import COLUMNS, read_source_image
from mammo_core.packaging import Package
from mammo_core.processes import lighter_batch
from mammo_core.scoring.model import ScoringModel
from mammo_core.scoring.scorer import predict_units
from mammo_core.scoring.units import build_unit
from mammo_core.sources.files.source_files import SourceFiles

_BATCH = 8
_WORKERS = 2
SCORE_COLUMNS = ("image_id", "probability", "reason")


def score_source_images(
    package: Package,
    rows: pd.DataFrame,
    source: SourceFiles,
    advance: Callable[[int], None] = lambda count: None,
) -> pd.DataFrame:
    """Score images through a package: its conversion, geometry, policy, unit and flips.

    Args:
        package: The package.
        rows: The images, with `source_images.COLUMNS`. For a package of two views, those of one
            patient, exam and side are one breast, as in an evaluation.
        source: The files of the source.
        advance: Called with the number of images after every batch.

    Returns:
        image_id, probability (malignant, [0, 1], not calibrated; NaN if it is not scored), reason
        (why it is not scored, or empty), sorted by image id.

    Raises:
        SourceError: A file changed since it was indexed.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    model = ScoringModel.from_packages([package])
    size = min(lighter_batch(_BATCH), max(len(rows), 1))
    scored: dict[str, tuple[float, str]] = {}
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="decode") as pool:
        for groups in _batches(rows, model, size):
            images = [row for group in groups for row in group]
            read = pool.map(lambda row: read_source_image(row, source, model), images)
            # A unit keeps no pixels that it does not need.
            built = [_build(group, read, model, scored) for group in groups]
            units = [unit for unit in built if unit is not None]
            if units:
                (probabilities,) = predict_units(model, units, size)
                for unit, probability in zip(units, probabilities, strict=True):
                    scored.update({i.digest: (float(probability), "") for i in unit.images})
            advance(len(images))
    table = [(id, *scored[id]) for id in sorted(scored)]
    return pd.DataFrame(table, columns=list(SCORE_COLUMNS))


def _build(
    group: Sequence[Any],
    read: Iterator[Any],
    model: ScoringModel,
    scored: dict[str, tuple[float, str]],
) -> Any:
    """Return the unit of a group, or None; note the images that are not scored."""
    items = [next(read) for _ in group]
    unit, rejects = build_unit(items, model.unit)
    ids = {row.path: row.image_id for row in group}
    scored.update({ids[reject.name]: (float("nan"), reject.reason) for reject in rejects})
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
