"""Measures of a classifier: pure functions of labels and scores."""

from mammo_core.metrics.bootstrap import Interval, auc_difference, auc_interval
from mammo_core.metrics.calibration import (
    Calibration,
    ReliabilityCurve,
    brier_score,
    fit_calibration,
    reliability_curve,
)
from mammo_core.metrics.classification import accuracy, confusion_matrix, one_against_rest_auc
from mammo_core.metrics.ranking import (
    BinaryCounts,
    OperatingPoint,
    RocCurve,
    auc,
    counts_at,
    operating_point,
    roc_curve,
    sensitive_operating_point,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
)

__all__ = [
    "BinaryCounts",
    "Calibration",
    "Interval",
    "OperatingPoint",
    "ReliabilityCurve",
    "RocCurve",
    "accuracy",
    "auc",
    "auc_difference",
    "auc_interval",
    "brier_score",
    "confusion_matrix",
    "counts_at",
    "fit_calibration",
    "one_against_rest_auc",
    "operating_point",
    "reliability_curve",
    "roc_curve",
    "sensitive_operating_point",
    "sensitivity_at_specificity",
    "specificity_at_sensitivity",
]
