"""Which exam a pathology result belongs to: the exams of the breast shortly before it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from mammo_core.sources.identity.cases import UNKNOWN_LABEL

#: What a label depends on.
LABEL_COLUMNS: Final = ("patient_key", "laterality", "exam_day", "pathology_day", "malignant")


class LabelsConfig(BaseModel):
    """How images get their labels.

    Attributes:
        window_days: Days after an exam in which a dated pathology result of the breast counts as
            its label; an image whose label comes from a result outside the window has none. Null:
            each label is that of its image, whatever the dates.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    window_days: int | None = Field(default=None, ge=0, le=36525)


def link_labels(rows: Sequence[Mapping[str, Any]], config: LabelsConfig) -> list[int]:
    """Return the label of each image: 1, 0, or UNKNOWN_LABEL.

    A dated result counts for every exam of the breast in the window before it; of several
    results, a malignant one decides. A label without a date is a statement about its image, which
    only a malignant result changes. No result outside the window makes an image negative.

    Args:
        rows: Rows of the table of images: patient_key, laterality, exam_day, pathology_day,
            malignant.
        config: The window.
    """
    if config.window_days is None:
        return [int(row["malignant"]) for row in rows]
    results: dict[tuple[str, str], set[tuple[float, int]]] = defaultdict(set)
    for row in rows:
        if row["pathology_day"] == row["pathology_day"] and row["malignant"] != UNKNOWN_LABEL:
            breast = (row["patient_key"], row["laterality"])
            results[breast].add((float(row["pathology_day"]), int(row["malignant"])))
    return [
        _label(row, results[row["patient_key"], row["laterality"]], config.window_days)
        for row in rows
    ]


def _label(row: Mapping[str, Any], results: set[tuple[float, int]], window: int) -> int:
    # A comparison with an unknown day (NaN) is false.
    linked = [label for day, label in results if 0 <= day - row["exam_day"] <= window]
    is_dated = row["pathology_day"] == row["pathology_day"]
    if not is_dated and row["malignant"] != UNKNOWN_LABEL:
        linked.append(int(row["malignant"]))
    return max(linked, default=UNKNOWN_LABEL)
