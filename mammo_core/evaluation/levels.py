"""What a classifier gives per image, per breast or per patient."""

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from mammo_core.errors import RecordError
from mammo_core.evaluation.aggregate import Level, at_level
from mammo_core.evaluation.config import EvaluationConfig
from mammo_core.evaluation.decisions import DecisionRules
from mammo_core.evaluation.predictions import class_patients, never_certain, small_warning
from mammo_core.metrics import (
    BinaryCounts,
    DeLongInterval,
    Interval,
    PrecisionRecallCurve,
    ReliabilityCurve,
    RocCurve,
    counts_at,
    delong_interval,
    intervals,
    measures,
    precision_recall_curve,
    reliability_curve,
    roc_curve,
)

if TYPE_CHECKING:
    import pandas as pd


class PointResult(BaseModel):
    """What an operating point that was chosen on validation gives on the test set.

    Attributes:
        name: Of the point.
        threshold: Called malignant when the uncalibrated probability is >= threshold.
        sensitivity: On test.
        specificity: On test.
        counts: On test.
        validation_sensitivity: On the set it was chosen on.
        validation_specificity: On the set it was chosen on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    threshold: float
    sensitivity: Interval
    specificity: Interval
    counts: BinaryCounts
    validation_sensitivity: float
    validation_specificity: float


class LevelResult(BaseModel):
    """The measures of one level, with 95 % intervals by patient.

    Attributes:
        level: image, breast or patient.
        n: How many of them.
        n_malignant: Malignant ones.
        n_patients: Patients.
        auc: Area under the ROC curve, interval by bootstrap.
        auc_delong: The same, interval by DeLong (by patient); None with fewer than two
            patients of a class.
        average_precision: Area under the precision-recall curve; chance gives the share of
            malignant ones.
        partial_auc: Area left of the ROC curve from the configured sensitivity on.
        sensitivity_at_specificity: At the configured specificity on this very curve.
        specificity_at_sensitivity: At the configured sensitivity on this very curve.
        brier: Of the probabilities as they are.
        brier_calibrated: After calibration.
        roc: The ROC curve, thresholds finite.
        precision_recall: The precision-recall curve.
        reliability: Of the probabilities as they are.
        reliability_calibrated: After calibration.
        operating_points: Chosen on validation; none when it holds one class only.
        warning: Set when there are few patients.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Level
    n: int
    n_malignant: int
    n_patients: int
    auc: Interval
    auc_delong: DeLongInterval | None
    average_precision: Interval
    partial_auc: Interval
    sensitivity_at_specificity: Interval
    specificity_at_sensitivity: Interval
    brier: Interval
    brier_calibrated: Interval
    roc: RocCurve
    precision_recall: PrecisionRecallCurve
    reliability: ReliabilityCurve
    reliability_calibrated: ReliabilityCurve
    operating_points: tuple[PointResult, ...]
    warning: str


def evaluate_level(
    test: "pd.DataFrame",
    level: Level,
    rules: DecisionRules,
    config: EvaluationConfig,
    seed: int,
) -> LevelResult:
    """Measure one level of the test set.

    Args:
        test: Checked predictions, one row per image.
        level: Which level.
        rules: Fitted on validation.
        config: How to evaluate.
        seed: Of the bootstrap.

    Raises:
        RecordError: The level holds one class only, or too few patients for an interval.
    """
    table = at_level(test, level, rules.aggregation)
    labels, scores = table["label"].to_numpy(), table["probability"].to_numpy()
    groups = table["patient_key"].to_numpy()
    mine = rules.at(level)
    calibrated = mine.calibration.apply(scores)

    wanted: dict[str, measures.Measure] = {
        "auc": measures.area,
        "average_precision": measures.precision,
        "partial_auc": measures.partial_area(config.partial_sensitivity),
        "sensitivity_at_specificity": measures.sensitivity_given(config.operating_specificity),
        "specificity_at_sensitivity": measures.specificity_given(config.operating_sensitivity),
        "brier": measures.brier,
    }
    for point in mine.operating_points:
        wanted[f"sensitivity {point.name}"] = measures.sensitivity_at(point.threshold)
        wanted[f"specificity {point.name}"] = measures.specificity_at(point.threshold)
    found = intervals(labels, scores, groups, wanted, config.bootstrap_replicates, seed)
    malignant, benign = class_patients(table)
    brier = {"brier": measures.brier}
    after = intervals(labels, calibrated, groups, brier, config.bootstrap_replicates, seed)
    return LevelResult(
        level=level,
        n=len(table),
        n_malignant=int(labels.sum()),
        n_patients=int(table["patient_key"].nunique()),
        # As many pairs of a malignant and a benign patient are independent of each other.
        auc=never_certain(found["auc"], min(malignant, benign)),
        auc_delong=_delong(table),
        average_precision=found["average_precision"],
        partial_auc=found["partial_auc"],
        sensitivity_at_specificity=found["sensitivity_at_specificity"],
        specificity_at_sensitivity=found["specificity_at_sensitivity"],
        brier=found["brier"],
        brier_calibrated=after["brier"],
        roc=roc_curve(labels, scores),
        precision_recall=precision_recall_curve(labels, scores),
        reliability=reliability_curve(labels, scores),
        reliability_calibrated=reliability_curve(labels, calibrated),
        operating_points=tuple(
            PointResult(
                name=point.name,
                threshold=point.threshold,
                sensitivity=never_certain(found[f"sensitivity {point.name}"], malignant),
                specificity=never_certain(found[f"specificity {point.name}"], benign),
                counts=counts_at(labels, scores, point.threshold),
                validation_sensitivity=point.sensitivity,
                validation_specificity=point.specificity,
            )
            for point in mine.operating_points
        ),
        warning=small_warning(table, config.small_group),
    )


def _delong(table: "pd.DataFrame") -> DeLongInterval | None:
    try:
        return delong_interval(
            table["label"].to_numpy(),
            table["probability"].to_numpy(),
            table["patient_key"].to_numpy(),
        )
    except RecordError:
        return None
