"""Measures of a classifier: pure functions of labels and scores."""

from mammo_core.metrics.bootstrap import Interval, auc_difference, auc_interval
from mammo_core.metrics.classification import accuracy, confusion_matrix, one_against_rest_auc
from mammo_core.metrics.ranking import (
    BinaryCounts,
    OperatingPoint,
    RocCurve,
    auc,
    counts_at,
    operating_point,
    roc_curve,
    sensitivity_at_specificity,
)

__all__ = [
    "BinaryCounts",
    "Interval",
    "OperatingPoint",
    "RocCurve",
    "accuracy",
    "auc",
    "auc_difference",
    "auc_interval",
    "confusion_matrix",
    "counts_at",
    "one_against_rest_auc",
    "operating_point",
    "roc_curve",
    "sensitivity_at_specificity",
]
