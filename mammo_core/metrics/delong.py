"""DeLong's interval of an AUC, and DeLong's test of two AUCs on the same records.

DeLong, DeLong & Clarke-Pearson 1988 (Biometrics 44, 837): the variance of an AUC from its
structural components, computed by ranks (Sun & Xu 2014). If patients are given, it is
Obuchowski's variance for clustered records (Biometrics 53, 567, 1997), because the views of one
patient are not independent. With one record per patient the two are equal.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.metrics.checks import Labels, Scores, require_binary

_Z95 = 1.959963984540054
"""97.5 % quantile of the normal distribution."""


@dataclass(frozen=True)
class DeLongInterval:
    """An AUC, or a difference of two, with its 95 % interval.

    Attributes:
        value: The AUC, or the difference.
        low: value - 1.96 standard errors; an AUC's not below 0.
        high: value + 1.96 standard errors; an AUC's not above 1.
        standard_error: 0 if every pair is ordered correctly: the interval then has no
            meaning, and neither has the bootstrap's.
    """

    value: float
    low: float
    high: float
    standard_error: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})"


@dataclass(frozen=True)
class DeLongDifference(DeLongInterval):
    """A difference of two AUCs of the same records.

    Attributes:
        p_value: Two-sided, for the hypothesis of no difference.
    """

    p_value: float


def delong_interval(
    labels: npt.ArrayLike, scores: npt.ArrayLike, groups: npt.ArrayLike | None = None
) -> DeLongInterval:
    """Return the AUC with DeLong's 95 % interval.

    Args:
        labels: `(n,)`, 0 or 1, both at least twice.
        scores: `(n,)` finite numbers, higher = more likely malignant.
        groups: `(n,)` patient keys; None when all records are independent.

    Raises:
        RecordError: Lengths differ, or a class has fewer than two records (or patients).
        ModelError: A score is not finite.
    """
    label_array, score_array = require_binary(labels, scores)
    aucs, covariance = auc_covariance(label_array, [score_array], groups)
    error = math.sqrt(covariance[0, 0])
    value = float(aucs[0])
    return DeLongInterval(
        value, max(0.0, value - _Z95 * error), min(1.0, value + _Z95 * error), error
    )


def delong_difference(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    reference: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
) -> DeLongDifference:
    """Return AUC(scores) - AUC(reference) on the same records with DeLong's paired test.

    Args:
        labels: `(n,)`, 0 or 1, both at least twice.
        scores: `(n,)` finite numbers of one model.
        reference: `(n,)` finite numbers of the other model, same records in the same order.
        groups: `(n,)` patient keys; None when all records are independent.

    Raises:
        RecordError: Lengths differ, or a class has fewer than two records (or patients).
        ModelError: A score is not finite.
    """
    label_array, score_array = require_binary(labels, scores)
    _, reference_array = require_binary(labels, reference)
    aucs, covariance = auc_covariance(label_array, [score_array, reference_array], groups)
    value = float(aucs[0] - aucs[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    # A variance of 0 may be a tiny number after rounding.
    error = math.sqrt(variance) if variance > 1e-15 else 0.0
    z = abs(value) / error if error else math.inf if value else 0.0
    return DeLongDifference(
        value,
        value - _Z95 * error,
        value + _Z95 * error,
        error,
        p_value=math.erfc(z / math.sqrt(2)),
    )


def auc_covariance(
    labels: Labels, score_sets: list[Scores], groups: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the AUCs of several score sets on the same records, and their covariance.

    Args:
        labels: `(n,) int64`, 0 or 1, both at least twice.
        score_sets: `k` arrays `(n,) float64`, finite.
        groups: `(n,)` patient keys; None when all records are independent.

    Returns:
        AUCs `(k,) float64` and covariance `(k, k) float64`.

    Raises:
        RecordError: A class has fewer than two records (or patients).
    """
    cluster = _clusters(labels, groups)
    count = cluster.max() + 1
    malignant = labels == 1
    m, n = int(malignant.sum()), int((~malignant).sum())
    per_positive = np.bincount(cluster[malignant], minlength=count)
    per_negative = np.bincount(cluster[~malignant], minlength=count)
    with_positive, with_negative = int((per_positive > 0).sum()), int((per_negative > 0).sum())
    if min(with_positive, with_negative) < 2:
        unit = "records" if groups is None else "patients"
        raise RecordError(
            "Too few records for DeLong's interval",
            expected=f"at least 2 {unit} of each class",
            received=f"{with_positive} with malignant, {with_negative} with benign records",
            hint="Put more patients of both classes into this split.",
        )
    aucs, positives, negatives = [], [], []
    for scores in score_sets:
        v10, v01 = _components(scores[malignant], scores[~malignant])
        value = v10.mean()
        aucs.append(value)
        # Sums over each patient, minus the sum expected at the mean.
        positives.append(
            np.bincount(cluster[malignant], v10, minlength=count) - per_positive * value
        )
        negatives.append(
            np.bincount(cluster[~malignant], v01, minlength=count) - per_negative * value
        )
    ours, theirs = np.array(positives), np.array(negatives)
    s10 = ours @ ours.T * with_positive / ((with_positive - 1) * m)
    s01 = theirs @ theirs.T * with_negative / ((with_negative - 1) * n)
    crossed = ours @ theirs.T * count / (count - 1)
    return np.array(aucs), s10 / m + s01 / n + (crossed + crossed.T) / (m * n)


def _components(
    positive: Scores, negative: Scores
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Structural components: for each record the share of the other class that it outranks.

    Ties count one half. A midrank among all records minus the midrank within the class counts
    the records of the other class below.
    """
    from scipy.stats import rankdata

    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    v10 = (ranks[:m] - rankdata(positive)) / n
    v01 = 1 - (ranks[m:] - rankdata(negative)) / m
    return v10, v01


def _clusters(labels: Labels, groups: npt.ArrayLike | None) -> npt.NDArray[np.int64]:
    if groups is None:
        return np.arange(len(labels))
    keys = np.asarray(groups).astype(str)
    if keys.shape != labels.shape:
        raise RecordError(
            "DeLong's interval by patient needs a patient for every record",
            expected=f"{len(labels)} patient keys",
            received=f"patient keys of shape {keys.shape}",
        )
    return np.asarray(np.unique(keys, return_inverse=True)[1], dtype=np.int64)
