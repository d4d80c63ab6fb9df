"""From the scored images of an exam to its score record."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from mammo_core.errors import RecordError
from mammo_core.evaluation.aggregate import Level
from mammo_core.results.exam_record import (
    ExamRecord,
    ImageRecord,
    ModelRecord,
    RegionRecord,
    ScoreRecord,
)
from mammo_core.scoring.delivery import ScoredImage
from mammo_core.scoring.levels import breast_rows, patient_rows
from mammo_core.scoring.model import ScoringModel

#: The warning of an image that its breast was not scored from (scoring.units).
_NOT_USED: Final = "not_used"


def model_records(
    model: ScoringModel, versions: Mapping[str, tuple[str, str]]
) -> tuple[ModelRecord, ...]:
    """Return the models with how they were applied and how they did on validation.

    Args:
        model: The model.
        versions: Model id → name and version in the registry; others have the name that they were
            built with, and no version.
    """
    records = []
    for package, weight in zip(model.packages, model.weights, strict=True):
        name, version = versions.get(package.model_id, (package.manifest.name, ""))
        rules = model.rules_of(package)
        settings = ["scored with flips" if rules is not None and rules.flips else ""]
        if model.site is not None:
            settings.append(f"rules of the site {model.site.site}, which accepted the model")
        if rules is not None and len(model.packages) == 1:
            settings += [_performance(model, level) for level in _levels(model)]
        records.append(
            ModelRecord(
                name=name,
                version=version,
                model_id=package.model_id,
                weight=weight,
                settings=tuple(filter(None, settings)),
            )
        )
    return tuple(records)


def exam_record(
    model: ScoringModel, models: tuple[ModelRecord, ...], began: str, images: Sequence[ScoredImage]
) -> ExamRecord:
    """Return the score record of the images of one exam.

    Args:
        model: The model.
        models: From `model_records`.
        began: When they were scored: ISO 8601 with an offset.
        images: Its images, in order.
    """
    rows = [image.row for image in images]
    by_model = _single_models(model)
    breasts = breast_rows(model, rows)
    patients = patient_rows(model, rows)
    sides = {str(row["laterality"]): row for row in breasts}
    # Rows of one exam may name several patients only where a name of a file says another than its
    # header: then no level above the image is known.
    known = len(sides) == len(breasts) and len(patients) == 1
    return ExamRecord(
        began=began,
        unit=model.unit,
        models=models,
        images=tuple(_image(model, by_model, image) for image in images),
        breasts={
            laterality: _score(row, _members(by_model, rows, "breast", laterality))
            for laterality, row in sorted(sides.items())
            if known
        }
        or _breasts_of_units(model, by_model, rows),
        exam=_score(patients[0], _members(by_model, rows, "patient")) if known else None,
    )


def _image(
    model: ScoringModel, by_model: Sequence[ScoringModel], image: ScoredImage
) -> ImageRecord:
    row = image.row
    warnings = tuple((one["code"], one["message"]) for one in row["warnings"])
    return ImageRecord(
        id=row["id"],
        laterality=row["laterality"],
        view=row["view"],
        spacing_mm=row["spacing_mm"],
        is_used=_NOT_USED not in dict(warnings),
        is_unlike=bool(row["unlike_training"]),
        warnings=warnings,
        score=_score(row, _unit_members(model, by_model, row)),
        regions=tuple(
            RegionRecord(
                rank=region["rank"],
                kind=region["kind"],
                peak=region["peak"],
                mean=region["mean"],
                outline=tuple((row, column) for row, column in region["outline"]),
            )
            for region in image.regions
        ),
    )


def _score(row: Mapping[str, Any], members: Sequence[float]) -> ScoreRecord:
    several = len(members) > 1 and not np.isnan(members).any()
    return ScoreRecord(
        probability=row["malignant_probability"],
        calibrated=row["calibrated_probability"],
        lowest=round(min(members), 6) if several else None,
        highest=round(max(members), 6) if several else None,
        decision=row["decision"],
        no_decision=row["no_decision"],
        triage=row.get("triage", ""),
    )


def _breasts_of_units(
    model: ScoringModel, by_model: Sequence[ScoringModel], rows: Sequence[Mapping[str, Any]]
) -> dict[str, ScoreRecord]:
    """Return the scores of breasts of models of both views, where no patient is known."""
    if model.unit == "image":
        return {}
    by_side = {row["laterality"]: row for row in reversed(rows)}
    return {
        laterality: _score(row, _unit_members(model, by_model, row))
        for laterality, row in sorted(by_side.items())
    }


def _single_models(model: ScoringModel) -> list[ScoringModel]:
    """Return each model of several by itself; none for one."""
    if len(model.packages) == 1:
        return []
    return [replace(model, packages=(package,), weights=(1.0,)) for package in model.packages]


def _unit_members(
    model: ScoringModel, by_model: Sequence[ScoringModel], row: Mapping[str, Any]
) -> list[float]:
    """Return the calibrated probability of an image, or of its breast, by each model."""
    return [
        float(single.calibrate(model.unit, [np.array([score])])[0])
        for single, score in zip(by_model, row["scores"], strict=False)
    ]


def _members(
    by_model: Sequence[ScoringModel],
    rows: Sequence[Mapping[str, Any]],
    level: Level,
    laterality: str = "",
) -> list[float]:
    """Return the calibrated probability of a breast or patient by each model."""
    values = []
    for number, single in enumerate(by_model):
        alone = [{**row, "scores": [row["scores"][number]]} for row in rows]
        aggregated = (
            breast_rows(single, alone) if level == "breast" else patient_rows(single, alone)
        )
        values += [
            np.nan if row["calibrated_probability"] is None else row["calibrated_probability"]
            for row in aggregated
            if not laterality or row["laterality"] == laterality
        ]
    return values


def _levels(model: ScoringModel) -> tuple[Level, ...]:
    return ("image", "breast", "patient") if model.unit == "image" else ("breast", "patient")


def _performance(model: ScoringModel, level: Level) -> str:
    """Return the operating point of a level, and how sure its rates are, in one sentence."""
    point, rules = model.decision_point(level), model.rules_of(model.packages[0])
    if point is None or rules is None:
        return ""
    counts = rules.at(level)
    return (
        f"{level} level, operating point {point.name}, threshold {point.threshold:.6g}; on "
        f"validation sensitivity {_rate(point.sensitivity, counts.n_malignant)} malignant, "
        f"specificity {_rate(point.specificity, counts.n_benign)} benign"
    )


def _rate(rate: float, count: int) -> str:
    """Return a rate with its 95 % interval (Wilson 1927)."""
    from scipy.stats import binomtest

    if not count:
        raise RecordError(
            "An operating point has no counts", expected="at least one case", received="none"
        )
    interval = binomtest(round(rate * count), count).proportion_ci(method="wilson")
    return f"{rate:.3f} ({interval.low:.3f} to {interval.high:.3f}) of {count}"
