"""Measures of a classifier: pure functions of labels and scores."""

from mammo_core.metrics.bootstrap import (
    Interval,
    auc_difference,
    auc_interval,
    intervals,
    mean_auc_interval,
)
from mammo_core.metrics.calibration import (
    Calibration,
    ReliabilityCurve,
    brier_score,
    fit_calibration,
    reliability_curve,
)
from mammo_core.metrics.classification import accuracy, confusion_matrix, one_against_rest_auc
from mammo_core.metrics.delong import (
    DeLongDifference,
    DeLongInterval,
    delong_difference,
    delong_interval,
)
from mammo_core.metrics.ranking import (
    BinaryCounts,
    OperatingPoint,
    PrecisionRecallCurve,
    RocCurve,
    auc,
    average_precision,
    counts_at,
    operating_point,
    partial_auc,
    precision_recall_curve,
    roc_curve,
    sensitive_operating_point,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
)

__all__ = [
    "BinaryCounts",
    "Calibration",
    "DeLongDifference",
    "DeLongInterval",
    "Interval",
    "OperatingPoint",
    "PrecisionRecallCurve",
    "ReliabilityCurve",
    "RocCurve",
    "accuracy",
    "auc",
    "auc_difference",
    "auc_interval",
    "average_precision",
    "brier_score",
    "confusion_matrix",
    "counts_at",
    "delong_difference",
    "delong_interval",
    "fit_calibration",
    "intervals",
    "mean_auc_interval",
    "one_against_rest_auc",
    "operating_point",
    "partial_auc",
    "precision_recall_curve",
    "reliability_curve",
    "roc_curve",
    "sensitive_operating_point",
    "sensitivity_at_specificity",
    "specificity_at_sensitivity",
]
