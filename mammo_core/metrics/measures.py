"""Measures of scores under many weightings of the records at once: what a bootstrap repeats.

A measure takes `Weighted` and returns one number per weighting, NaN where it has none (a
class that was not drawn). With all weights 1 the numbers are scikit-learn's (the tests hold
them to it).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mammo_core.metrics.checks import Labels, Scores

Array = npt.NDArray[np.float64]

_ROUNDING = 1e-9
"""Forgiven when rates are compared with a limit such as 1 - 0.8."""


class Weighted:
    """Records sorted by score, highest first, equal scores together, under r weightings.

    Args:
        labels: `(n,)`, 0 or 1.
        scores: `(n,)` finite.
        weights: `(r, n)` at least 0, how often each record counts.

    Attributes:
        scores: `(k,)` distinct scores, falling.
        positive: `(r, k)` weight of the malignant records of each score.
        negative: `(r, k)` likewise of the benign ones.
        true_positives: `(r, k)` weight of the malignant records called at each score.
        false_positives: `(r, k)` likewise of the benign ones.
        positives: `(r,)` weight of all malignant records.
        negatives: `(r,)` likewise of all benign ones.
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


Measure = Callable[[Weighted], Array]


def area(drawn: Weighted) -> Array:
    """Area under the ROC curve (Mann-Whitney statistic, ties one half)."""
    above = drawn.negatives[:, np.newaxis] - drawn.false_positives + drawn.negative / 2
    return _share((drawn.positive * above).sum(axis=1), drawn.positives * drawn.negatives)


def precision(drawn: Weighted) -> Array:
    """Average precision: the area under the precision-recall curve, by steps."""
    called = drawn.true_positives + drawn.false_positives
    precisions = np.divide(
        drawn.true_positives, called, out=np.zeros_like(called), where=called > 0
    )
    return _share((drawn.positive * precisions).sum(axis=1), drawn.positives)


def partial_area(sensitivity: float) -> Measure:
    """Area between the ROC curve and its left edge where sensitivity is at least this.

    It is the mean specificity over sensitivities in [sensitivity, 1] times their width:
    0.2 at best for 0.8 (the DREAM challenge's measure).
    """

    def measure(drawn: Weighted) -> Array:
        true_rate = _with_start(_share(drawn.true_positives, drawn.positives[:, np.newaxis]))
        false_rate = _with_start(_share(drawn.false_positives, drawn.negatives[:, np.newaxis]))
        start, end = true_rate[:, :-1], true_rate[:, 1:]
        height = np.clip(end - np.maximum(start, sensitivity), 0, None)
        # The line from one point to the next, where it passes the limit.
        rise = np.where(end > start, end - start, 1)
        passed = np.clip((sensitivity - start) / rise, 0, 1)
        first = false_rate[:, :-1] + passed * (false_rate[:, 1:] - false_rate[:, :-1])
        return np.asarray((height * (1 - (first + false_rate[:, 1:]) / 2)).sum(axis=1))

    return measure


def sensitivity_given(specificity: float) -> Measure:
    """Highest sensitivity of a threshold whose specificity is at least this."""

    def measure(drawn: Weighted) -> Array:
        limit = (1 - specificity) * drawn.negatives[:, np.newaxis]
        allowed = drawn.false_positives <= limit + _ROUNDING
        best = np.where(allowed, drawn.true_positives, 0).max(axis=1)
        return _where(_share(best, drawn.positives), drawn.negatives > 0)

    return measure


def specificity_given(sensitivity: float) -> Measure:
    """Highest specificity of a threshold whose sensitivity is at least this."""

    def measure(drawn: Weighted) -> Array:
        limit = sensitivity * drawn.positives[:, np.newaxis]
        if sensitivity <= 0:
            return np.where((drawn.positives > 0) & (drawn.negatives > 0), 1.0, np.nan)
        enough = drawn.true_positives >= limit - _ROUNDING
        least = np.where(enough, drawn.false_positives, np.inf).min(axis=1)
        return _where(1 - _share(least, drawn.negatives), drawn.positives > 0)

    return measure


def sensitivity_at(threshold: float) -> Measure:
    """Share of the malignant records with score >= threshold."""

    def measure(drawn: Weighted) -> Array:
        called = drawn.scores >= threshold
        return _share(drawn.positive[:, called].sum(axis=1), drawn.positives)

    return measure


def specificity_at(threshold: float) -> Measure:
    """Share of the benign records with score < threshold."""

    def measure(drawn: Weighted) -> Array:
        spared = drawn.scores < threshold
        return _share(drawn.negative[:, spared].sum(axis=1), drawn.negatives)

    return measure


def brier(drawn: Weighted) -> Array:
    """Mean squared distance of score and label; the scores are probabilities."""
    missed: Array = drawn.positive @ (1 - drawn.scores) ** 2 + drawn.negative @ drawn.scores**2
    return _share(missed, drawn.positives + drawn.negatives)


def _with_start(rates: Array) -> Array:
    return np.concatenate([np.zeros((len(rates), 1)), rates], axis=1)


def _share(part: Array, whole: Array) -> Array:
    """Part / whole, NaN where there is no whole."""
    whole = np.broadcast_to(whole, part.shape)
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0))


def _where(values: Array, known: npt.NDArray[np.bool_]) -> Array:
    return np.where(known, values, np.nan)
