"""From scored images to scores of breasts and patients."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mammo_core.evaluation.aggregate import Level, at_level
from mammo_core.scoring.model import ScoringModel


def number_patients(
    rows: Iterable[dict[str, Any]], numbers: dict[str, dict[str, str]]
) -> Iterator[dict[str, Any]]:
    """Replace random keys of patients and exams by numbers in the order of first appearance.

    Args:
        rows: Rows of images, in order.
        numbers: `patient` and `exam` → key → number so far; new ones are added.
    """
    for row in rows:
        for name in ("patient", "exam"):
            key, known = row[name], numbers.setdefault(name, {})
            if len(key) == 20:  # published pseudonyms are shorter
                row[name] = known.setdefault(key, f"{name}-{len(known) + 1}")
        yield row


def breast_rows(model: ScoringModel, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Aggregate scored images to breasts, the scores of each package by its own rules."""
    return _level(model, rows, "breast", ["patient_key", "exam_key", "laterality"])


def patient_rows(model: ScoringModel, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Aggregate scored images to patients, each at one exam, likewise."""
    return _level(model, rows, "patient", ["patient_key", "exam_key"])


def _level(
    model: ScoringModel, rows: Iterable[Mapping[str, Any]], level: Level, keys: list[str]
) -> list[dict[str, Any]]:
    import pandas as pd

    rows = [row for row in rows if row["patient"] and row["laterality"]]
    images = pd.DataFrame([_image_row(row) for row in rows])
    if images.empty:
        return []
    scores = []
    for number, package in enumerate(model.packages):
        scored = images.assign(probability=[values[number] for values in images["scores"]])
        table = at_level(scored, level, package.rules.aggregation)
        scores.append(table["probability"].to_numpy())
    grouped = images.groupby(keys, sort=True)
    unlike = _unlike(rows, keys)
    counts = grouped.agg(
        images=("view_id", "size"), views=("view_id", "nunique"), breasts=("laterality", "nunique")
    ).reset_index()
    probabilities, calibrated = model.combine(scores), model.calibrate(level, scores)
    return [
        {
            "patient": group.patient_key,
            "exam": group.exam_key,
            **(
                {"laterality": group.laterality, "views": int(group.views)}
                if level == "breast"
                else {"breasts": int(group.breasts)}
            ),
            "images": int(group.images),
            "model_id": model.model_id,
            **model.score_fields(level, float(probability), float(score), bool(differences)),
            "unlike_training": differences,
        }
        for group, probability, score in zip(
            counts.itertuples(), probabilities, calibrated, strict=True
        )
        for differences in [unlike.get(tuple(getattr(group, key) for key in keys), [])]
    ]


def _unlike(
    rows: Iterable[Mapping[str, Any]], keys: list[str]
) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    """Return how images are unlike training images, by what they are aggregated to."""
    by_key: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        cells = _image_row(row)
        differences = by_key.setdefault(tuple(cells[key] for key in keys), [])
        differences += [item for item in row["unlike_training"] if item not in differences]
    return by_key


def _image_row(row: Mapping[str, Any]) -> dict[str, Any]:
    view = row["view"] or row["id"]  # an unknown view counts as a separate view
    return {
        "patient_key": row["patient"],
        "exam_key": row["exam"],
        "laterality": row["laterality"],
        "view_id": f"{row['patient']}_{row['exam']}_{row['laterality']}_{view}",
        "scores": row["scores"],
    }
