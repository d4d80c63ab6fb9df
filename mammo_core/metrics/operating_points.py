"""Operating points: thresholds, and the decisions they lead to."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.metrics.checks import require_binary, require_finite
from mammo_core.metrics.curves import roc_points


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold with its performance on the set it was chosen on.

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
    """The confusion matrix of a binary decision (counts of records)."""

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int

    @property
    def sensitivity(self) -> float:
        """Share of malignant records called malignant; NaN when there are none."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def specificity(self) -> float:
        """Share of benign records called benign; NaN when there are none."""
        return _ratio(self.true_negatives, self.true_negatives + self.false_positives)


def operating_point(
    labels: npt.ArrayLike, scores: npt.ArrayLike, specificity: float
) -> OperatingPoint:
    """Choose the most sensitive threshold that keeps a specificity.

    It is chosen on the validation set; the test set only measures it.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers.
        specificity: The least specificity, [0, 1].

    Raises:
        RecordError: Lengths differ, one class is missing, or the specificity is out of range.
        ModelError: A score is not finite.
    """
    if not 0 <= specificity <= 1:
        raise RecordError(
            "Not a specificity", expected="a number in [0, 1]", received=str(specificity)
        )
    false_rate, true_rate, thresholds = roc_points(*require_binary(labels, scores))
    # The tolerance forgives the rounding of 1 - 0.8 and of the rates themselves.
    allowed = np.flatnonzero(false_rate <= 1 - specificity + 1e-12)
    # Both rates rise along the curve; of equally sensitive points the most specific is taken.
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

    It is chosen on the validation set; the test set only measures it.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers.
        sensitivity: The least sensitivity, [0, 1].

    Raises:
        RecordError: Lengths differ, one class is missing, or the sensitivity is out of range.
        ModelError: A score is not finite.
    """
    if not 0 <= sensitivity <= 1:
        raise RecordError(
            "Not a sensitivity", expected="a number in [0, 1]", received=str(sensitivity)
        )
    false_rate, true_rate, thresholds = roc_points(*require_binary(labels, scores))
    # Both rates rise along the curve: the first point that is sensitive enough. Among equally
    # specific points the most sensitive one is taken, as above.
    first = int(np.argmax(true_rate >= sensitivity - 1e-12))
    best = int(np.flatnonzero(false_rate == false_rate[first])[-1])
    return OperatingPoint(
        threshold=float(thresholds[best]),
        sensitivity=float(true_rate[best]),
        specificity=float(1 - false_rate[best]),
    )


def counts_at(labels: npt.ArrayLike, scores: npt.ArrayLike, threshold: float) -> BinaryCounts:
    """Count the decisions at a threshold (score >= threshold is malignant).

    Args:
        labels: `(n,)`, 0 or 1; one class alone is allowed.
        scores: `(n,)` finite numbers.
        threshold: From `operating_point`.

    Raises:
        RecordError: Lengths differ.
        ModelError: A score is not finite.
    """
    truth = np.asarray(labels).astype(bool)
    called = require_finite(scores) >= threshold
    if truth.shape != called.shape:
        raise RecordError(
            "Labels and scores do not match",
            expected="one label and one score per record",
            received=f"labels of shape {truth.shape}, scores of shape {called.shape}",
        )
    return BinaryCounts(
        true_positives=int((truth & called).sum()),
        false_positives=int((~truth & called).sum()),
        true_negatives=int((~truth & ~called).sum()),
        false_negatives=int((truth & ~called).sum()),
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
