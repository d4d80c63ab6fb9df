"""Brier score: the mean squared distance between probability and truth."""

import numpy.typing as npt

from mammo_core.metrics.checks import require_binary, require_probabilities
from mammo_core.metrics.metric import Metric, register_metric
from mammo_core.metrics.weighted import Array, Weighted, ratio

_DESCRIPTION = "Mean squared distance between probability and truth; 0 is best."


def brier_score(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Return the mean squared distance between probability and label; 0 is best.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` probabilities, [0, 1].

    Raises:
        RecordError: Lengths differ or one class is missing.
        ModelError: A score is not a probability.
    """
    from sklearn.metrics import brier_score_loss

    label_array, score_array = require_binary(labels, scores)
    return float(brier_score_loss(label_array, require_probabilities(score_array)))


def weighted_brier(records: Weighted) -> Array:
    """Brier score under each weighting, `(r,) float64, [0, 1]`; the scores are probabilities."""
    squares: Array = (
        records.positive @ (1 - records.scores) ** 2 + records.negative @ records.scores**2
    )
    return ratio(squares, records.positives + records.negatives)


BRIER = register_metric(
    Metric(
        name="brier",
        label="Brier score",
        description=_DESCRIPTION,
        weighted=lambda settings: weighted_brier,
        higher_is_better=False,
        order=70,
    )
)

BRIER_CALIBRATED = register_metric(
    Metric(
        name="brier_calibrated",
        label="Brier score",
        description=_DESCRIPTION,
        weighted=lambda settings: weighted_brier,
        row=lambda settings: f"Brier score, calibrated ({settings.calibration})",
        calibrated=True,
        higher_is_better=False,
        order=80,
    )
)
