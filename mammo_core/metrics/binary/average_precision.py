"""Average precision: the area under the precision-recall curve."""

import numpy as np
import numpy.typing as npt

from mammo_core.metrics.checks import require_binary
from mammo_core.metrics.metric import Metric, register_metric
from mammo_core.metrics.weighted import Array, Weighted, ratio


def average_precision(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Return the area under the precision-recall curve, by steps (as scikit-learn).

    Guessing gives the share of malignant records, not 0.5.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers, higher = more likely malignant.

    Raises:
        RecordError: Lengths differ or one class is missing.
        ModelError: A score is not finite.
    """
    from sklearn.metrics import average_precision_score

    label_array, score_array = require_binary(labels, scores)
    return float(average_precision_score(label_array, score_array))


def weighted_average_precision(records: Weighted) -> Array:
    """Average precision under each weighting, `(r,) float64, [0, 1]`."""
    called = records.true_positives + records.false_positives
    precisions = np.divide(
        records.true_positives, called, out=np.zeros_like(called), where=called > 0
    )
    return ratio((records.positive * precisions).sum(axis=1), records.positives)


AVERAGE_PRECISION = register_metric(
    Metric(
        name="average_precision",
        label="Average precision",
        description="Mean share of truly malignant ones among those called malignant, over all "
        "sensitivities. Guessing gives the share of malignant ones in the set.",
        weighted=lambda settings: weighted_average_precision,
        order=30,
    )
)
