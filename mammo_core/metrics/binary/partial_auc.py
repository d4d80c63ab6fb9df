"""Partial AUC: the part of the area under the ROC curve at high sensitivity."""

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.metrics.checks import require_binary
from mammo_core.metrics.metric import Metric, register_metric
from mammo_core.metrics.weighted import Array, Weighted, WeightedMetric, ratio, unweighted


def partial_auc(labels: npt.ArrayLike, scores: npt.ArrayLike, sensitivity: float = 0.8) -> float:
    """Return the area left of the ROC curve where sensitivity is at least the given one.

    The measure of the DREAM challenge. At best it is 1 - sensitivity (0.2), by guessing
    (1 - sensitivity)² / 2 (0.02).

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers.
        sensitivity: The least sensitivity, [0, 1).

    Raises:
        RecordError: Lengths differ, one class is missing, or the sensitivity is out of range.
        ModelError: A score is not finite.
    """
    if not 0 <= sensitivity < 1:
        raise RecordError(
            "Not a sensitivity", expected="a number in [0, 1)", received=str(sensitivity)
        )
    return float(weighted_partial_auc(sensitivity)(unweighted(*require_binary(labels, scores)))[0])


def weighted_partial_auc(sensitivity: float) -> WeightedMetric:
    """Area between the ROC curve and its left edge where sensitivity is at least this.

    It is the mean specificity over sensitivities in [sensitivity, 1] times their width.
    """

    def metric(records: Weighted) -> Array:
        true_rate = _from_zero(ratio(records.true_positives, records.positives[:, np.newaxis]))
        false_rate = _from_zero(ratio(records.false_positives, records.negatives[:, np.newaxis]))
        start, end = true_rate[:, :-1], true_rate[:, 1:]
        height = np.clip(end - np.maximum(start, sensitivity), 0, None)
        # Where the line from one point to the next crosses the limit.
        rise = np.where(end > start, end - start, 1)
        crossing = np.clip((sensitivity - start) / rise, 0, 1)
        first = false_rate[:, :-1] + crossing * (false_rate[:, 1:] - false_rate[:, :-1])
        return np.asarray((height * (1 - (first + false_rate[:, 1:]) / 2)).sum(axis=1))

    return metric


def _from_zero(rates: Array) -> Array:
    return np.concatenate([np.zeros((len(rates), 1)), rates], axis=1)


PARTIAL_AUC = register_metric(
    Metric(
        name="partial_auc",
        label="Partial AUC",
        description="The part of the area under the ROC curve where sensitivity is high enough "
        "for screening.",
        weighted=lambda settings: weighted_partial_auc(settings.partial_sensitivity),
        row=lambda settings: (
            f"Partial AUC, sensitivity ≥ {settings.partial_sensitivity:.2f} "
            f"(at most {1 - settings.partial_sensitivity:.2f})"
        ),
        order=40,
    )
)
