"""How well a score orders benign before malignant: AUC, ROC curve, operating points."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.metrics.checks import binary, finite
from mammo_core.metrics.measures import Weighted, partial_area


@dataclass(frozen=True)
class RocCurve:
    """A receiver operating characteristic, every number finite.

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
        precision: Share of malignant records among those called malignant; 1 where none is.
        thresholds: Falling; a record is called malignant when its score >= threshold.
    """

    recall: tuple[float, ...]
    precision: tuple[float, ...]
    thresholds: tuple[float, ...]


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, and what it gave on the set it was chosen on.

    Attributes:
        threshold: Call malignant when score >= threshold.
        sensitivity: On the set it was chosen on.
        specificity: On the set it was chosen on.
    """

    threshold: float
    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class BinaryCounts:
    """The confusion of a binary decision (counts of records)."""

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int

    @property
    def sensitivity(self) -> float:
        """Share of malignant records called malignant; NaN when there are none."""
        return _share(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def specificity(self) -> float:
        """Share of benign records called benign; NaN when there are none."""
        return _share(self.true_negatives, self.true_negatives + self.false_positives)


def auc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Return the area under the ROC curve (ties count one half).

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers, higher = more likely malignant.

    Raises:
        RecordError: Lengths differ or one class is missing.
        ModelError: A score is not finite.
    """
    from sklearn.metrics import roc_auc_score

    label_array, score_array = binary(labels, scores)
    return float(roc_auc_score(label_array, score_array))


def roc_curve(labels: npt.ArrayLike, scores: npt.ArrayLike, points: int = 200) -> RocCurve:
    """Return the ROC curve, thinned.

    scikit-learn's first threshold is infinite, which JSON cannot hold: here it is the next
    float above the highest score.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers.
        points: The most points to keep; both ends are always among them.

    Raises:
        RecordError: Lengths differ, one class is missing, or fewer than 2 points are asked for.
        ModelError: A score is not finite.
    """
    false_rate, true_rate, thresholds = _curve(*binary(labels, scores), corners_only=True)
    keep = _thinned(len(thresholds), points)
    return RocCurve(
        tuple(false_rate[keep].tolist()),
        tuple(true_rate[keep].tolist()),
        tuple(thresholds[keep].tolist()),
    )


def average_precision(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Return the area under the precision-recall curve, by steps (scikit-learn's).

    Chance gives the share of malignant records, not 0.5.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers, higher = more likely malignant.

    Raises:
        RecordError: Lengths differ or one class is missing.
        ModelError: A score is not finite.
    """
    from sklearn.metrics import average_precision_score

    label_array, score_array = binary(labels, scores)
    return float(average_precision_score(label_array, score_array))


def precision_recall_curve(
    labels: npt.ArrayLike, scores: npt.ArrayLike, points: int = 200
) -> PrecisionRecallCurve:
    """Return the precision-recall curve, thinned.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers.
        points: The most points to keep; both ends are always among them.

    Raises:
        RecordError: Lengths differ, one class is missing, or fewer than 2 points are asked for.
        ModelError: A score is not finite.
    """
    from sklearn.metrics import precision_recall_curve as sklearn_curve

    label_array, score_array = binary(labels, scores)
    precision, recall, thresholds = sklearn_curve(label_array, score_array, drop_intermediate=True)
    precision, recall = precision[::-1], recall[::-1]
    thresholds = np.r_[np.nextafter(score_array.max(), np.inf), thresholds[::-1]]
    keep = _thinned(len(thresholds), points)
    return PrecisionRecallCurve(
        tuple(recall[keep].tolist()),
        tuple(precision[keep].tolist()),
        tuple(thresholds[keep].tolist()),
    )


def partial_auc(labels: npt.ArrayLike, scores: npt.ArrayLike, sensitivity: float = 0.8) -> float:
    """Return the area left of the ROC curve where sensitivity is at least the one given.

    The measure of the DREAM challenge. At best it is 1 - sensitivity (0.2), by chance
    (1 - sensitivity)² / 2 (0.02).

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers, higher = more likely malignant.
        sensitivity: The least sensitivity, [0, 1).

    Raises:
        RecordError: Lengths differ, one class is missing, or the sensitivity is no share.
        ModelError: A score is not finite.
    """
    if not 0 <= sensitivity < 1:
        raise RecordError(
            "Not a sensitivity", expected="a number in [0, 1)", received=str(sensitivity)
        )
    label_array, score_array = binary(labels, scores)
    whole = Weighted(label_array, score_array, np.ones((1, len(label_array))))
    return float(partial_area(sensitivity)(whole)[0])


def operating_point(
    labels: npt.ArrayLike, scores: npt.ArrayLike, specificity: float
) -> OperatingPoint:
    """Choose the most sensitive threshold that keeps a specificity.

    Choose it on the validation set; the test set then only measures it.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers.
        specificity: The least specificity, [0, 1].

    Raises:
        RecordError: Lengths differ, one class is missing, or the specificity is no share.
        ModelError: A score is not finite.
    """
    if not 0 <= specificity <= 1:
        raise RecordError(
            "Not a specificity", expected="a number in [0, 1]", received=str(specificity)
        )
    false_rate, true_rate, thresholds = _curve(*binary(labels, scores))
    # The tolerance forgives the rounding of 1 - 0.8 and of the rates themselves.
    allowed = np.flatnonzero(false_rate <= 1 - specificity + 1e-12)
    # Both rates rise along the curve; among equally sensitive points take the most specific.
    best = allowed[np.argmax(true_rate[allowed])]
    return OperatingPoint(
        threshold=float(thresholds[best]),
        sensitivity=float(true_rate[best]),
        specificity=float(1 - false_rate[best]),
    )


def sensitive_operating_point(
    labels: npt.ArrayLike, scores: npt.ArrayLike, sensitivity: float
) -> OperatingPoint:
    """Choose the most specific threshold that keeps a sensitivity.

    Choose it on the validation set; the test set then only measures it.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers.
        sensitivity: The least sensitivity, [0, 1].

    Raises:
        RecordError: Lengths differ, one class is missing, or the sensitivity is no share.
        ModelError: A score is not finite.
    """
    if not 0 <= sensitivity <= 1:
        raise RecordError(
            "Not a sensitivity", expected="a number in [0, 1]", received=str(sensitivity)
        )
    false_rate, true_rate, thresholds = _curve(*binary(labels, scores))
    # Both rates rise along the curve: the first point that is sensitive enough. Among equally
    # specific points the most sensitive one is taken, as above.
    first = int(np.argmax(true_rate >= sensitivity - 1e-12))
    best = int(np.flatnonzero(false_rate == false_rate[first])[-1])
    return OperatingPoint(
        threshold=float(thresholds[best]),
        sensitivity=float(true_rate[best]),
        specificity=float(1 - false_rate[best]),
    )


def specificity_at_sensitivity(
    labels: npt.ArrayLike, scores: npt.ArrayLike, sensitivity: float
) -> float:
    """Return the highest specificity at a sensitivity of at least the one given.

    Like `sensitivity_at_specificity` it describes the curve of this very set.
    """
    return sensitive_operating_point(labels, scores, sensitivity).specificity


def sensitivity_at_specificity(
    labels: npt.ArrayLike, scores: npt.ArrayLike, specificity: float
) -> float:
    """Return the highest sensitivity at a specificity of at least the one given.

    The threshold is chosen on the same set, so the number describes that set's curve and
    promises nothing for another: see `operating_point`.
    """
    return operating_point(labels, scores, specificity).sensitivity


def counts_at(labels: npt.ArrayLike, scores: npt.ArrayLike, threshold: float) -> BinaryCounts:
    """Count the decisions at a threshold (score >= threshold is malignant).

    Args:
        labels: `(n,)`, 0 or 1; one class alone is fine here.
        scores: `(n,)` finite numbers.
        threshold: From `operating_point`.

    Raises:
        RecordError: Lengths differ.
        ModelError: A score is not finite.
    """
    truth = np.asarray(labels).astype(bool)
    called = finite(scores) >= threshold
    if truth.shape != called.shape:
        raise RecordError(
            "Labels and scores do not belong together",
            expected="one label and one score per record",
            received=f"labels of shape {truth.shape}, scores of shape {called.shape}",
        )
    return BinaryCounts(
        true_positives=int((truth & called).sum()),
        false_positives=int((~truth & called).sum()),
        true_negatives=int((~truth & ~called).sum()),
        false_negatives=int((truth & ~called).sum()),
    )


def _curve(
    labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], corners_only: bool = False
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    from sklearn.metrics import roc_curve as sklearn_curve

    # Points on a straight line are lost to a picture, but they are thresholds to choose from.
    false_rate, true_rate, thresholds = sklearn_curve(
        labels, scores, drop_intermediate=corners_only
    )
    thresholds = np.asarray(thresholds, dtype=np.float64)
    thresholds[0] = np.nextafter(scores.max(), np.inf)
    return np.asarray(false_rate), np.asarray(true_rate), thresholds


def _thinned(count: int, points: int) -> npt.NDArray[np.int64]:
    """At most `points` of `count` places, evenly, the ends among them."""
    if points < 2:
        raise RecordError(
            "A curve has two ends", expected="at least 2 points", received=f"points={points}"
        )
    return np.unique(np.linspace(0, count - 1, min(count, points)).round().astype(np.int64))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
