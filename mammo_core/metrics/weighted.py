"""Scores under many weightings of the records at once: what a bootstrap needs.

A weighted metric takes `Weighted` and returns one number per weighting, NaN where it is
undefined (a class with no weight). With all weights 1 the built-in ones equal scikit-learn's
(tests compare them).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.metrics.checks import Labels, Scores

Array = npt.NDArray[np.float64]

ROUNDING = 1e-9
"""Tolerance when rates are compared with a limit such as 1 - 0.8."""


class Weighted:
    """Records sorted by score, highest first, equal scores merged, under r weightings.

    Args:
        labels: `(n,) int64`, 0 or 1.
        scores: `(n,) float64`, finite.
        weights: `(r, n) float64`, at least 0: how often each record counts.

    Attributes:
        scores: `(k,) float64`, distinct scores in descending order.
        positive: `(r, k) float64`, weight of the malignant records of each score.
        negative: `(r, k) float64`, weight of the benign records of each score.
        true_positives: `(r, k) float64`, weight of malignant records at or above each score.
        false_positives: `(r, k) float64`, weight of benign records at or above each score.
        positives: `(r,) float64`, weight of all malignant records.
        negatives: `(r,) float64`, weight of all benign records.
    """

    def __init__(self, labels: Labels, scores: Scores, weights: Array) -> None:
        order = np.argsort(-scores, kind="stable")
        ordered = scores[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        sorted_weights = weights[:, order]
        self.scores = ordered[starts]
        self.positive = np.add.reduceat(sorted_weights * labels[order], starts, axis=1)
        self.negative = np.add.reduceat(sorted_weights * (1 - labels[order]), starts, axis=1)
        self.true_positives = np.cumsum(self.positive, axis=1)
        self.false_positives = np.cumsum(self.negative, axis=1)
        self.positives = self.true_positives[:, -1]
        self.negatives = self.false_positives[:, -1]


WeightedMetric = Callable[[Weighted], Array]
"""Returns `(r,) float64`: the metric under each weighting, NaN where it is undefined."""


def unweighted(labels: Labels, scores: Scores) -> Weighted:
    """Return the records under one weighting in which each counts once."""
    return Weighted(labels, scores, np.ones((1, len(labels))))


def resampled(function: Callable[[Labels, Scores], float]) -> WeightedMetric:
    """Return the weighted form of a plain function: it is called once per weighting.

    Args:
        function: Takes labels `(n,) int64`, 0 or 1, and scores `(n,) float64` in any order,
            each record as often as its weight. A `RecordError` means that it is undefined.
    """

    def metric(records: Weighted) -> Array:
        values = np.full(len(records.positives), np.nan)
        defined = np.flatnonzero((records.positives > 0) & (records.negatives > 0))
        for row in defined:
            positive = np.repeat(records.scores, records.positive[row].astype(np.int64))
            negative = np.repeat(records.scores, records.negative[row].astype(np.int64))
            labels = np.repeat(np.array([1, 0]), [len(positive), len(negative)])
            try:
                values[row] = function(labels, np.concatenate([positive, negative]))
            except RecordError:
                continue
        return values

    return metric


def sensitivity_at(threshold: float) -> WeightedMetric:
    """Share of the malignant records with score >= threshold."""

    def metric(records: Weighted) -> Array:
        called = records.scores >= threshold
        return ratio(records.positive[:, called].sum(axis=1), records.positives)

    return metric


def specificity_at(threshold: float) -> WeightedMetric:
    """Share of the benign records with score < threshold."""

    def metric(records: Weighted) -> Array:
        below = records.scores < threshold
        return ratio(records.negative[:, below].sum(axis=1), records.negatives)

    return metric


def ratio(part: Array, whole: Array) -> Array:
    """Return part / whole, NaN where whole is 0."""
    whole = np.broadcast_to(whole, part.shape)
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0))


def nan_unless(defined: npt.NDArray[np.bool_], values: Array) -> Array:
    """Return values, NaN where they are undefined."""
    return np.where(defined, values, np.nan)
