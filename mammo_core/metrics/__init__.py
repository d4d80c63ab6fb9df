"""Metrics of a classifier: pure functions of labels and scores, and the registry of metrics."""

from typing import TYPE_CHECKING

from mammo_core.lazy import import_lazily

if TYPE_CHECKING:
    from mammo_core.metrics.binary.auc import auc, weighted_auc
    from mammo_core.metrics.binary.average_precision import average_precision
    from mammo_core.metrics.binary.brier import brier_score
    from mammo_core.metrics.binary.partial_auc import partial_auc
    from mammo_core.metrics.binary.sensitivity_at_specificity import sensitivity_at_specificity
    from mammo_core.metrics.binary.specificity_at_sensitivity import specificity_at_sensitivity
    from mammo_core.metrics.bootstrap import (
        Interval,
        auc_difference,
        auc_interval,
        intervals,
        mean_auc_interval,
        proportion_interval,
    )
    from mammo_core.metrics.calibration import (
        Calibration,
        ReliabilityCurve,
        fit_calibration,
        reliability_curve,
    )
    from mammo_core.metrics.classification import accuracy, confusion_matrix, one_against_rest_auc
    from mammo_core.metrics.curves import (
        PrecisionRecallCurve,
        RocCurve,
        precision_recall_curve,
        roc_curve,
    )
    from mammo_core.metrics.delong import (
        DeLongDifference,
        DeLongInterval,
        delong_difference,
        delong_interval,
    )
    from mammo_core.metrics.metric import Metric, metric_names, metrics, register_metric
    from mammo_core.metrics.operating_points import (
        BinaryCounts,
        OperatingPoint,
        counts_at,
        operating_point,
        sensitive_operating_point,
    )
    from mammo_core.metrics.settings import MetricSettings

__all__ = [
    "BinaryCounts",
    "Calibration",
    "DeLongDifference",
    "DeLongInterval",
    "Interval",
    "Metric",
    "MetricSettings",
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
    "metric_names",
    "metrics",
    "one_against_rest_auc",
    "operating_point",
    "partial_auc",
    "precision_recall_curve",
    "proportion_interval",
    "register_metric",
    "reliability_curve",
    "roc_curve",
    "sensitive_operating_point",
    "sensitivity_at_specificity",
    "specificity_at_sensitivity",
    "weighted_auc",
]

import_lazily(
    __name__,
    {
        "binary.auc": ["auc", "weighted_auc"],
        "binary.average_precision": ["average_precision"],
        "binary.brier": ["brier_score"],
        "binary.partial_auc": ["partial_auc"],
        "binary.sensitivity_at_specificity": ["sensitivity_at_specificity"],
        "binary.specificity_at_sensitivity": ["specificity_at_sensitivity"],
        "bootstrap": [
            "Interval",
            "auc_difference",
            "auc_interval",
            "intervals",
            "mean_auc_interval",
            "proportion_interval",
        ],
        "calibration": ["Calibration", "ReliabilityCurve", "fit_calibration", "reliability_curve"],
        "classification": ["accuracy", "confusion_matrix", "one_against_rest_auc"],
        "curves": ["PrecisionRecallCurve", "RocCurve", "precision_recall_curve", "roc_curve"],
        "delong": ["DeLongDifference", "DeLongInterval", "delong_difference", "delong_interval"],
        "metric": ["Metric", "metric_names", "metrics", "register_metric"],
        "operating_points": [
            "BinaryCounts",
            "OperatingPoint",
            "counts_at",
            "operating_point",
            "sensitive_operating_point",
        ],
        "settings": ["MetricSettings"],
    },
)
