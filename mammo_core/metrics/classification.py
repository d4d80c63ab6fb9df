"""Metrics of a classifier with several classes (the patch classifier)."""

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.metrics.binary.auc import auc
from mammo_core.metrics.checks import require_finite


def accuracy(labels: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Return the share of records whose predicted class is correct.

    Args:
        labels: `(n,)` class indices.
        predicted: `(n,)` class indices.

    Raises:
        RecordError: There are no records, or lengths differ.
    """
    truth, called = _same_length(labels, predicted)
    return float((truth == called).mean())


def confusion_matrix(
    labels: npt.ArrayLike, predicted: npt.ArrayLike, classes: int
) -> npt.NDArray[np.int64]:
    """Count records by true class (rows) and predicted class (columns).

    Args:
        labels: `(n,)` class indices, [0, classes).
        predicted: `(n,)` class indices, [0, classes).
        classes: Number of classes; a class that does not occur keeps its row and column.

    Returns:
        `(classes, classes) int64`.

    Raises:
        RecordError: Lengths differ or an index is out of range.
    """
    truth, called = _same_length(labels, predicted)
    if min(truth.min(), called.min()) < 0 or max(truth.max(), called.max()) >= classes:
        raise RecordError(
            "A class index is not in the label map",
            expected=f"indices in [0, {classes})",
            received=f"labels {truth.min()}..{truth.max()}, "
            f"predictions {called.min()}..{called.max()}",
        )
    flat = np.bincount(truth * classes + called, minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


def one_against_rest_auc(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike
) -> tuple[float | None, ...]:
    """Return the AUC of each class against all other classes.

    Args:
        labels: `(n,)` class indices, [0, c).
        probabilities: `(n, c)` finite class probabilities.

    Returns:
        One AUC per class; None for a class of no record or of all records.

    Raises:
        RecordError: The shapes do not match.
        ModelError: A probability is not finite.
    """
    truth = np.asarray(labels)
    scores = require_finite(probabilities)
    if scores.ndim != 2 or truth.shape != scores.shape[:1]:
        raise RecordError(
            "Labels and probabilities do not match",
            expected="n labels and probabilities of shape (n, classes)",
            received=f"labels of shape {truth.shape}, probabilities of shape {scores.shape}",
        )
    return tuple(
        auc(truth == index, scores[:, index]) if 0 < (truth == index).sum() < len(truth) else None
        for index in range(scores.shape[1])
    )


def _same_length(
    labels: npt.ArrayLike, predicted: npt.ArrayLike
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    truth, called = np.asarray(labels), np.asarray(predicted)
    if truth.ndim != 1 or truth.shape != called.shape or not len(truth):
        raise RecordError(
            "Labels and predictions do not match",
            expected="one label and one predicted class per record, at least one record",
            received=f"labels of shape {truth.shape}, predictions of shape {called.shape}",
        )
    return truth.astype(np.int64), called.astype(np.int64)
