"""Weights that make rare classes count as much as common ones."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mammo_core.training.config import Balance

Weights = npt.NDArray[np.float32]


def sample_weights(
    balance: Balance | None, labels: npt.NDArray[np.int32], class_counts: Sequence[int]
) -> Weights:
    """Weigh the records of a batch.

    Args:
        balance: `"batch_weights"`: 1 / share of the class in this batch, so the mean is the
            number of classes present (original-system.md §4.3); `"class_weights"`: 1 / share
            of the class in the whole set, over the number of classes; None: 1.
        labels: `(n,)`.
        class_counts: Records of each class in the whole set.

    Returns:
        `(n,) float32`.
    """
    if balance is None:
        return np.ones(len(labels), np.float32)
    counts = (
        np.bincount(labels, minlength=len(class_counts))
        if balance == "batch_weights"
        else np.asarray(class_counts) * len(class_counts)
    )
    total = len(labels) if balance == "batch_weights" else sum(class_counts)
    return (total / counts[labels]).astype(np.float32)
