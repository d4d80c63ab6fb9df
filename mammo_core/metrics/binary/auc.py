"""AUC: the area under the ROC curve, with an interval by bootstrap and one by DeLong."""

import numpy as np
import numpy.typing as npt

from mammo_core.metrics.checks import require_binary
from mammo_core.metrics.delong import delong_interval
from mammo_core.metrics.metric import Metric, register_metric
from mammo_core.metrics.weighted import Array, Weighted, ratio


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

    label_array, score_array = require_binary(labels, scores)
    return float(roc_auc_score(label_array, score_array))


def weighted_auc(records: Weighted) -> Array:
    """Area under the ROC curve as the Mann-Whitney statistic, `(r,) float64, [0, 1]`."""
    above = records.negatives[:, np.newaxis] - records.false_positives + records.negative / 2
    pairs = records.positives * records.negatives
    return ratio((records.positive * above).sum(axis=1), pairs)


AUC = register_metric(
    Metric(
        name="auc",
        label="AUC",
        description="The share of pairs of one malignant and one benign image in which the "
        "malignant one has the higher probability. 0.5 is guessing, 1 is perfect. It depends "
        "on no threshold.",
        weighted=lambda settings: weighted_auc,
        # As many pairs of a malignant and a benign patient are independent of each other.
        independent=min,
        order=10,
    )
)

AUC_DELONG = register_metric(
    Metric(
        name="auc_delong",
        label="AUC, DeLong's interval by patient",
        description="The AUC with DeLong's interval, in Obuchowski's form for several images "
        "per patient: computed by a formula, without drawing patients.",
        estimate=delong_interval,
        in_summary=False,
        order=20,
    )
)
