"""Specificity at a sensitivity, read off the ROC curve of the set itself."""

import numpy as np
import numpy.typing as npt

from mammo_core.metrics.metric import Metric, register_metric
from mammo_core.metrics.operating_points import sensitive_operating_point
from mammo_core.metrics.weighted import (
    ROUNDING,
    Array,
    Weighted,
    WeightedMetric,
    nan_unless,
    ratio,
)


def specificity_at_sensitivity(
    labels: npt.ArrayLike, scores: npt.ArrayLike, sensitivity: float
) -> float:
    """Return the highest specificity at a sensitivity of at least the given one.

    Like `sensitivity_at_specificity`, it describes the curve of this very set.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers, higher = more likely malignant.
        sensitivity: The least sensitivity, [0, 1].
    """
    return sensitive_operating_point(labels, scores, sensitivity).specificity


def weighted_specificity_at_sensitivity(sensitivity: float) -> WeightedMetric:
    """Highest specificity of a threshold whose sensitivity is at least this."""

    def metric(records: Weighted) -> Array:
        limit = sensitivity * records.positives[:, np.newaxis]
        if sensitivity <= 0:
            return np.where((records.positives > 0) & (records.negatives > 0), 1.0, np.nan)
        enough = records.true_positives >= limit - ROUNDING
        least = np.where(enough, records.false_positives, np.inf).min(axis=1)
        return nan_unless(records.positives > 0, 1 - ratio(least, records.negatives))

    return metric


SPECIFICITY_AT_SENSITIVITY = register_metric(
    Metric(
        name="specificity_at_sensitivity",
        label="Specificity at a sensitivity",
        description="Highest specificity of a threshold that keeps the sensitivity on this very "
        "set. It describes the curve; only an operating point applies to other patients.",
        weighted=lambda settings: weighted_specificity_at_sensitivity(settings.sensitivity),
        row=lambda settings: f"Specificity at sensitivity {settings.sensitivity:.2f} on this curve",
        in_summary=False,
        order=60,
    )
)
