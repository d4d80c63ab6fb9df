"""From all images of a source to those that a recipe uses: labels, policy, the best of a view."""

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from mammo_core.dicom import ImageMeaning, ImageWarning
from mammo_core.sources.auditing.policy import ImagePolicy, Verdict, judge
from mammo_core.sources.best_image import CANDIDATE_COLUMNS, candidate_of, choose_views
from mammo_core.sources.identity.cases import UNKNOWN_LABEL, breast_id
from mammo_core.sources.identity.label_windows import LABEL_COLUMNS, LabelsConfig, link_labels
from mammo_core.sources.tables.source_tables import (
    LESION_COLUMNS,
    MEANING_COLUMNS,
    REJECT_COLUMNS,
    PackedRow,
    Rejects,
    Row,
    SourceTables,
    rows_of,
    table_of,
)

if TYPE_CHECKING:  # quick to load: see the package
    import numpy.typing as npt
    import pandas as pd

#: Cause of images without a label, in the table of rejects.
UNKNOWN_LABEL_CAUSE = "unknown_label"
_BREAST_COLUMNS: Final = ("patient_key", "exam_key", "laterality")
#: What the reason of an image without a label says.
_REASON_COLUMNS: Final = ["path", "exam_day", "pathology_day"]
_ON_REQUEST = "Expected an image that the policy of the recipe accepts for training"


def select(tables: SourceTables, policy: ImagePolicy, labels: LabelsConfig) -> SourceTables:
    """Leave out what the recipe does not train on, with the cause as a reject.

    Args:
        tables: All images of a source.
        policy: What is done with images that are not plain mammograms.
        labels: How images get their labels.

    Returns:
        The tables with the remaining images: their labels, warnings, view classes, and why an
        image is not the one that stands for its view.
    """
    import numpy as np

    images, rejects = tables.images, Rejects()
    group, kinds = _kinds(images, policy)
    stated = np.array(_labels(images, labels), np.int64)
    refused = np.array([kind.is_refused for kind in kinds], bool)[group]
    left_out_rows = refused | (stated == UNKNOWN_LABEL)
    places = np.flatnonzero(left_out_rows)
    for at, row in zip(places, rows_of(images.loc[left_out_rows, _REASON_COLUMNS]), strict=True):
        if refused[at]:
            kind = kinds[group[at]]
            rejects.add(row["path"], "image", kind.reason, kind.verdict.code)
        else:
            rejects.add(row["path"], "image", _unknown_label(row, labels), UNKNOWN_LABEL_CAUSE)
    if places.size:
        kept, group = images[~left_out_rows].reset_index(drop=True), group[~left_out_rows]
    else:
        kept = images.copy(deep=False)
    for name in ("warnings", "view_class"):
        texts = np.array([getattr(kind, name) for kind in kinds], "object")
        kept[name] = texts[group]
    kept["malignant"] = stated[~left_out_rows]
    left_out = Counter(str(row["cause"]) for row in rejects.rows)
    facts = {**tables.facts, "left_out": dict(sorted(left_out.items()))}
    result = remaining_tables(replace(tables, facts=facts), kept, rejects.rows)
    if left_out:
        facts["used"] = {
            "images": len(result.images),
            "views": int(result.images["view_id"].nunique()),
            "patients": int(result.images["patient_key"].nunique()),
        }
    return result


@dataclass(frozen=True)
class _Kind:
    """What the policy says about all images of which the tables say the same.

    Attributes:
        verdict: What it says.
        warnings: Their cell of that name.
        view_class: Their cell of that name.
    """

    verdict: Verdict
    warnings: str
    view_class: str

    @property
    def is_refused(self) -> bool:
        """Whether such an image is left out."""
        return self.verdict.action in ("on_request", "reject")

    @property
    def reason(self) -> str:
        """Why it is left out."""
        verdict = self.verdict
        return f"{_sentence(verdict.reason)} {_ON_REQUEST}. Received {verdict.action}."


def _kinds(images: "pd.DataFrame", policy: ImagePolicy) -> "tuple[npt.NDArray[Any], list[_Kind]]":
    """Return (images,) int: the kind of each image, and the kinds: a large source has a few."""
    import numpy as np

    columns = ["laterality", *MEANING_COLUMNS]
    group = images.groupby(columns, dropna=False, sort=False).ngroup().to_numpy()
    _, first = np.unique(group, return_index=True)
    return group, [_kind(row, policy) for row in rows_of(images[columns].iloc[first])]


def _kind(row: Row, policy: ImagePolicy) -> _Kind:
    meaning = meaning_of(row)
    verdict = judge(meaning, policy)
    warnings = [
        *meaning.warnings,
        *(ImageWarning(code=cause.code, message=cause.message) for cause in verdict.causes),
    ]
    texts = [warning.model_dump() for warning in dict.fromkeys(warnings)]
    return _Kind(
        verdict, json.dumps(texts) if texts else "", policy.view_class(row["view"] or None)
    )


def _labels(images: "pd.DataFrame", labels: LabelsConfig) -> list[int]:
    if labels.window_days is None:
        return [int(label) for label in images["malignant"]]
    return link_labels([PackedRow(row) for row in rows_of(images[list(LABEL_COLUMNS)])], labels)


def remaining_tables(
    tables: SourceTables, images: "pd.DataFrame", rejects: list[Row]
) -> SourceTables:
    """Return the tables with fewer images: their lesions, and which image stands for its view.

    Args:
        tables: The tables.
        images: The table of the images that remain.
        rejects: The rejects of the others.
    """
    images["pathology_day"] = images["pathology_day"].replace(float("inf"), float("nan"))
    reasons: dict[str, str] = {}
    several = images.duplicated([*_BREAST_COLUMNS, "view_class"], keep=False)
    for choice in choose_views(
        (breast_id(row.patient_key, row.exam_key, row.laterality), candidate_of(row))
        for row in images.loc[several, [*_BREAST_COLUMNS, *CANDIDATE_COLUMNS]].itertuples()
    ).values():
        reasons |= choice.reasons
    images["not_chosen"] = images["image_id"].map(reasons).fillna("").astype("object")
    lesions = _lesions_of(images, tables.lesions)
    all_rejects = [*rows_of(tables.rejects), *rejects]
    return SourceTables(
        images=images,
        lesions=table_of(map(PackedRow, rows_of(lesions)), LESION_COLUMNS),
        rejects=table_of(all_rejects, REJECT_COLUMNS),
        facts=tables.facts,
    )


def _lesions_of(images: "pd.DataFrame", lesions: "pd.DataFrame") -> "pd.DataFrame":
    """Return the lesions of some images; one without a pathology has the label of its image."""
    labels = dict(zip(images["image_id"], images["malignant"], strict=True))
    lesions = lesions[lesions["image_id"].isin(set(labels))].copy()
    unstated = lesions["pathology"] == ""
    malignant = lesions.loc[unstated, "image_id"].map(labels)
    lesions.loc[unstated, "malignant"] = malignant
    lesions.loc[unstated, "pathology"] = malignant.map({1: "MALIGNANT", 0: "BENIGN"})
    return lesions


def meaning_of(row: Row) -> ImageMeaning:
    """Return what an image is, from its row in the table of images.

    Args:
        row: A row of the table.
    """

    def number(name: str) -> float | None:
        value = row[name]
        return None if value is None or value != value else float(value)

    def flag(name: str) -> bool | None:
        value = row[name]
        return None if value is None or value != value else bool(value)

    warnings: list[Any] = json.loads(row["warnings"]) if row["warnings"] else []
    return ImageMeaning(
        view=row["view"] or None,
        view_modifiers=tuple(name for name in row["view_modifiers"].split("+") if name),
        laterality=row["laterality"] or None,
        image_type=row["image_type"] or None,
        implant=flag("implant"),
        partial_view=bool(row["partial_view"]),
        specimen=bool(row["specimen"]),
        body_part=row["body_part"] or None,
        for_processing=bool(row["for_processing"]),
        burned_in=flag("burned_in"),
        patient_identity_removed=flag("patient_identity_removed"),
        paddle=row["paddle"] or None,
        magnification_factor=number("magnification_factor"),
        area_mm2=number("area_mm2"),
        warnings=tuple(ImageWarning(**warning) for warning in warnings),
    )


def rejects_by_fault(rejects: "pd.DataFrame") -> tuple[int, int]:
    """Return how many rejects are faults of the source, and how many the recipe leaves out.

    Args:
        rejects: Table of rejects.
    """
    faults = int((rejects["cause"] == "").sum())
    return faults, len(rejects) - faults


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _unknown_label(row: Row, labels: LabelsConfig) -> str:
    expected = (
        "a label"
        if labels.window_days is None
        else f"a label, or a pathology result within {labels.window_days} days of the exam"
    )
    days = row["pathology_day"] - row["exam_day"]
    received = "none"
    if row["pathology_day"] == float("inf"):
        received = "a result with a date, and an exam without one"
    elif days == days:
        received = f"a result {days:.0f} days after it"
    return f"Its label is unknown. Expected {expected}. Received {received}."
