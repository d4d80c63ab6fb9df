"""Sensitivity at a specificity, read off the ROC curve of the set itself."""

import numpy as np
import numpy.typing as npt

from mammo_core.metrics.metric import Metric, register_metric
from mammo_core.metrics.operating_points import operating_point
from mammo_core.metrics.weighted import (
    ROUNDING,
    Array,
    Weighted,
    WeightedMetric,
    nan_unless,
    ratio,
)


def sensitivity_at_specificity(
    labels: npt.ArrayLike, scores: npt.ArrayLike, specificity: float
) -> float:
    """Return the highest sensitivity at a specificity of at least the given one.

    The threshold is chosen on the same set, so the number describes the curve of that set and
    says nothing about another: see `operating_point`.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers, higher = more likely malignant.
        specificity: The least specificity, [0, 1].
    """
    return operating_point(labels, scores, specificity).sensitivity


def weighted_sensitivity_at_specificity(specificity: float) -> WeightedMetric:
    """Highest sensitivity of a threshold whose specificity is at least this."""

    def metric(records: Weighted) -> Array:
        limit = (1 - specificity) * records.negatives[:, np.newaxis]
        allowed = records.false_positives <= limit + ROUNDING
        best = np.where(allowed, records.true_positives, 0).max(axis=1)
        return nan_unless(records.negatives > 0, ratio(best, records.positives))

    return metric


SENSITIVITY_AT_SPECIFICITY = register_metric(
    Metric(
        name="sensitivity_at_specificity",
        label="Sensitivity at a specificity",
        description="Highest sensitivity of a threshold that keeps the specificity on this very "
        "set. It describes the curve; only an operating point applies to other patients.",
        weighted=lambda settings: weighted_sensitivity_at_specificity(settings.specificity),
        row=lambda settings: f"Sensitivity at specificity {settings.specificity:.2f} on this curve",
        in_summary=False,
        order=50,
    )
)
