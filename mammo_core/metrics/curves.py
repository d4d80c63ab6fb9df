"""Curves over all thresholds: ROC, and precision against recall."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.metrics.checks import require_binary


@dataclass(frozen=True)
class RocCurve:
    """A ROC curve, every number finite.

    Attributes:
        false_positive_rate: 1 - specificity, rising from 0 to 1.
        true_positive_rate: Sensitivity, rising from 0 to 1.
        thresholds: Falling; a record is called malignant when its score >= threshold.
    """

    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]
    thresholds: tuple[float, ...]


@dataclass(frozen=True)
class PrecisionRecallCurve:
    """Precision against recall (= sensitivity), every number finite.

    Attributes:
        recall: Rising from 0 to 1.
        precision: Share of malignant records among those called malignant; 1 if there are none.
        thresholds: Falling; a record is called malignant when its score >= threshold.
    """

    recall: tuple[float, ...]
    precision: tuple[float, ...]
    thresholds: tuple[float, ...]


def roc_curve(labels: npt.ArrayLike, scores: npt.ArrayLike, points: int = 200) -> RocCurve:
    """Return the ROC curve, thinned.

    The first threshold of scikit-learn is infinite, which JSON cannot represent; here it is
    the next float above the highest score.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers.
        points: Number of points kept at most; both ends are always kept.

    Raises:
        RecordError: Lengths differ, one class is missing, or `points` is less than 2.
        ModelError: A score is not finite.
    """
    false_rate, true_rate, thresholds = roc_points(
        *require_binary(labels, scores), corners_only=True
    )
    keep = _thinned(len(thresholds), points)
    return RocCurve(
        tuple(false_rate[keep].tolist()),
        tuple(true_rate[keep].tolist()),
        tuple(thresholds[keep].tolist()),
    )


def precision_recall_curve(
    labels: npt.ArrayLike, scores: npt.ArrayLike, points: int = 200
) -> PrecisionRecallCurve:
    """Return the precision-recall curve, thinned.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers.
        points: Number of points kept at most; both ends are always kept.

    Raises:
        RecordError: Lengths differ, one class is missing, or `points` is less than 2.
        ModelError: A score is not finite.
    """
    from sklearn.metrics import precision_recall_curve as sklearn_curve

    label_array, score_array = require_binary(labels, scores)
    precision, recall, thresholds = sklearn_curve(label_array, score_array, drop_intermediate=True)
    precision, recall = precision[::-1], recall[::-1]
    thresholds = np.r_[np.nextafter(score_array.max(), np.inf), thresholds[::-1]]
    keep = _thinned(len(thresholds), points)
    return PrecisionRecallCurve(
        tuple(recall[keep].tolist()),
        tuple(precision[keep].tolist()),
        tuple(thresholds[keep].tolist()),
    )


def roc_points(
    labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], corners_only: bool = False
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return every point of the ROC curve.

    Args:
        labels: `(n,) int64`, 0 or 1, both present.
        scores: `(n,) float64`, finite.
        corners_only: Leave out points on a straight line between their neighbors.

    Returns:
        False positive rates and true positive rates, both `(k,) float64` rising from 0 to 1,
        and thresholds `(k,) float64`, falling and finite.
    """
    from sklearn.metrics import roc_curve as sklearn_curve

    # Points on a straight line do not change a plot, but they are thresholds to choose from.
    false_rate, true_rate, thresholds = sklearn_curve(
        labels, scores, drop_intermediate=corners_only
    )
    thresholds = np.asarray(thresholds, dtype=np.float64)
    thresholds[0] = np.nextafter(scores.max(), np.inf)
    return np.asarray(false_rate), np.asarray(true_rate), thresholds


def _thinned(count: int, points: int) -> npt.NDArray[np.int64]:
    """At most `points` of `count` indices, evenly spaced, with both ends."""
    if points < 2:
        raise RecordError(
            "A curve has two ends", expected="at least 2 points", received=f"points={points}"
        )
    return np.unique(np.linspace(0, count - 1, min(count, points)).round().astype(np.int64))
