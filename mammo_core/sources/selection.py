"""From all images of a source to those that a recipe uses: labels, policy, the best of a view."""

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mammo_core.dicom import ImageMeaning, ImageWarning
from mammo_core.sources.auditing.policy import ImagePolicy, judge
from mammo_core.sources.best_image import candidate_of, choose_views
from mammo_core.sources.identity.cases import UNKNOWN_LABEL, breast_id
from mammo_core.sources.identity.label_windows import LABEL_COLUMNS, LabelsConfig, link_labels
from mammo_core.sources.tables.source_tables import (
    IMAGE_COLUMNS,
    LESION_COLUMNS,
    REJECT_COLUMNS,
    PackedRow,
    Rejects,
    Row,
    SourceTables,
    TableBuilder,
    rows_of,
    table_of,
)

if TYPE_CHECKING:  # quick to load: see the package
    import pandas as pd

#: Cause of images without a label, in the table of rejects.
UNKNOWN_LABEL_CAUSE = "unknown_label"
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
    kept = TableBuilder(IMAGE_COLUMNS)
    rejects = Rejects()
    dated = [PackedRow(row) for row in rows_of(tables.images[list(LABEL_COLUMNS)])]
    for row, label in zip(rows_of(tables.images), link_labels(dated, labels), strict=True):
        meaning = meaning_of(row)
        verdict = judge(meaning, policy)
        if verdict.action in ("on_request", "reject"):
            reason = f"{_sentence(verdict.reason)} {_ON_REQUEST}. Received {verdict.action}."
            rejects.add(row["path"], "image", reason, verdict.code)
            continue
        if label == UNKNOWN_LABEL:
            rejects.add(row["path"], "image", _unknown_label(row, labels), UNKNOWN_LABEL_CAUSE)
            continue
        warnings = [
            *meaning.warnings,
            *(ImageWarning(code=cause.code, message=cause.message) for cause in verdict.causes),
        ]
        texts = [warning.model_dump() for warning in dict.fromkeys(warnings)]
        row["warnings"] = json.dumps(texts) if texts else ""
        row["malignant"] = label
        row["view_class"] = policy.view_class(row["view"] or None)
        kept.add(row)
    left_out = Counter(str(row["cause"]) for row in rejects.rows)
    facts = {**tables.facts, "left_out": dict(sorted(left_out.items()))}
    result = remaining_tables(replace(tables, facts=facts), kept.table(), rejects.rows)
    if left_out:
        facts["used"] = {
            "images": len(result.images),
            "views": int(result.images["view_id"].nunique()),
            "patients": int(result.images["patient_key"].nunique()),
        }
    return result


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
    for choice in choose_views(
        (breast_id(row.patient_key, row.exam_key, row.laterality), candidate_of(row))
        for row in images.itertuples()
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
