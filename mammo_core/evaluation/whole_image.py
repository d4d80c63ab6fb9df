"""Evaluation of a whole-image classifier.

Calibration and operating points are fitted on the validation set; the test set only measures.
"""

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from mammo_core.errors import RecordError
from mammo_core.evaluation.aggregate import Level
from mammo_core.evaluation.config import EvaluationConfig
from mammo_core.evaluation.decisions import DecisionRules, fit_rules
from mammo_core.evaluation.group_differences import GroupDifference
from mammo_core.evaluation.levels import LevelResult, evaluate_level, scalar
from mammo_core.evaluation.predictions import require_same_records, validate_predictions
from mammo_core.evaluation.subgroups import Subgroup, group_differences, subgroups
from mammo_core.metrics import BinaryCounts, Interval, OperatingPoint, RocCurve, metrics

if TYPE_CHECKING:
    import pandas as pd


class EvaluationResult(BaseModel):
    """The result of an evaluation. Intervals are 95 %, bootstrapped by patient.

    Attributes:
        rules: Calibration and operating points, fitted on validation.
        levels: The metrics per image and, if both classes occur, per breast and patient.
        subgroups: The groups of the test set.
        group_differences: Whether the groups of each grouping differ.
        config: How it was evaluated.
        auc: AUC per image.
        auc_ci95: Its interval (low, high).
        breast_auc: AUC per breast; None if all breasts are of one class.
        patient_auc: AUC per patient; None if all patients are of one class.
        replicates: Replicates that contain both classes.
        n_images: Number of images (files) in the test set.
        n_views: Number of views; less than images if a view has several files.
        n_breasts: Number of breasts.
        n_patients: Number of patients.
        n_malignant: Number of malignant images.
        n_malignant_views: Number of malignant views.
        roc: ROC curve per image.
        operating_point: The first one, chosen on validation, with its values there; None if
            validation has one class only.
        at_operating_point: Images of the test set at that threshold.
        sensitivity: On test, at that threshold.
        specificity: On test, at that threshold.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: DecisionRules
    levels: tuple[LevelResult, ...]
    subgroups: tuple[Subgroup, ...]
    group_differences: tuple[GroupDifference, ...] = ()
    config: EvaluationConfig
    auc: float
    auc_ci95: tuple[float, float]
    breast_auc: Interval | None
    patient_auc: Interval | None
    replicates: int
    n_images: int
    n_views: int
    n_breasts: int
    n_patients: int
    n_malignant: int
    n_malignant_views: int
    roc: RocCurve
    operating_point: OperatingPoint | None
    at_operating_point: BinaryCounts | None
    sensitivity: float | None
    specificity: float | None

    def at(self, level: Level) -> LevelResult | None:
        """Return the metrics of a level; None if it has one class only."""
        return next((result for result in self.levels if result.level == level), None)

    def summary(self) -> dict[str, Any]:
        """Return the scalars that runs are compared by: metrics per image, counts.

        Scalars that are undefined on this test set are left out.
        """
        images = self.levels[0]
        scalars = {
            "auc": self.auc,
            "breast_auc": scalar(self.breast_auc),
            "patient_auc": scalar(self.patient_auc),
            **{
                metric.name: scalar(images.metrics.get(metric.name))
                for metric in metrics()
                if metric.in_summary
            },
            "sensitivity": self.sensitivity,
            "specificity": self.specificity,
        }
        return {
            **{
                name: float(value)
                for name, value in scalars.items()
                if value is not None and math.isfinite(value)
            },
            "auc_ci95": list(self.auc_ci95),
            "n_test_images": self.n_images,
            "n_test_views": self.n_views,
            "n_test_patients": self.n_patients,
        }


def evaluate(
    predictions: "pd.DataFrame",
    validation: "pd.DataFrame",
    config: EvaluationConfig,
    seed: int,
    *,
    leaking: Collection[str] = (),
    leaked: "pd.DataFrame | None" = None,
    other_flips: "pd.DataFrame | None" = None,
) -> EvaluationResult:
    """Evaluate predictions on the test set.

    Args:
        predictions: Test set, one row per image: image_id, patient_key, exam_key, view_id,
            laterality, view, view_class, label (0 or 1 = malignant), probability (malignant,
            [0, 1]); for subgroups also lesion_types, breast_density, source.
        validation: The same of the validation set; no patient of it is in the test set.
        config: How to evaluate.
        seed: Seed of the bootstrap.
        leaking: As in `subgroups`.
        leaked: As in `subgroups`.
        other_flips: The validation set, predicted with the other value of `config.flips`, to fit
            rules for it; None for none.

    Returns:
        All numbers that the report and the gate need.

    Raises:
        RecordError: Columns are missing, ids occur twice, the sets share a patient, or the
            test set has one class only.
        ModelError: A probability is not in [0, 1].
    """
    test = validate_predictions(predictions, "test")
    fitted_on = validate_predictions(validation, "validation")
    if leaked is not None and len(leaked):
        leaked = validate_predictions(leaked, "leaking patients'")
    shared = sorted(set(test["patient_key"]) & set(fitted_on["patient_key"]))
    if shared:
        raise RecordError(
            "Validation and test share patients",
            expected="every patient in one split",
            received=f"{len(shared)} patients in both, first {shared[0]}",
            hint="Draw the split by patient.",
        )
    if other_flips is not None:
        other_flips = validate_predictions(other_flips, "validation, other flips,")
        require_same_records(fitted_on, other_flips, ("validation", "validation, other flips,"))
    rules = fit_rules(
        fitted_on,
        calibration=config.calibration,
        specificity=config.operating_specificity,
        sensitivity=config.operating_sensitivity,
        aggregation=config.aggregation,
        flips=config.flips,
        translation=config.translation,
        other_flips=other_flips,
    )
    images = evaluate_level(test, "image", rules, config, seed)
    breasts = _level(test, "breast", rules, config, seed)
    patients = _level(test, "patient", rules, config, seed)
    point = rules.image.point()
    first = images.operating_points[0] if images.operating_points else None
    return EvaluationResult(
        rules=rules,
        levels=tuple(level for level in (images, breasts, patients) if level is not None),
        subgroups=subgroups(test, rules, config, seed, leaking=leaking, leaked=leaked),
        group_differences=group_differences(test, config, seed),
        config=config,
        auc=images.auc.value,
        auc_ci95=(images.auc.low, images.auc.high),
        breast_auc=breasts.auc if breasts else None,
        patient_auc=patients.auc if patients else None,
        replicates=images.auc.replicates,
        n_images=len(test),
        n_views=int(test["view_id"].nunique()),
        n_breasts=len(test[["patient_key", "exam_key", "laterality"]].drop_duplicates()),
        n_patients=images.n_patients,
        n_malignant=images.n_malignant,
        n_malignant_views=int(test.loc[test["label"] == 1, "view_id"].nunique()),
        roc=images.roc,
        operating_point=OperatingPoint(point.threshold, point.sensitivity, point.specificity)
        if point
        else None,
        at_operating_point=first.counts if first else None,
        sensitivity=first.sensitivity.value if first else None,
        specificity=first.specificity.value if first else None,
    )


def _level(
    test: "pd.DataFrame", level: Level, rules: DecisionRules, config: EvaluationConfig, seed: int
) -> LevelResult | None:
    try:
        return evaluate_level(test, level, rules, config, seed)
    except RecordError:  # one class only, or too few patients: images are still evaluated
        return None
