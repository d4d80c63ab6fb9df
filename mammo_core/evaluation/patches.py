"""Evaluation of the patch classifier."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from mammo_core.errors import RecordError
from mammo_core.metrics import (
    accuracy,
    confusion_matrix,
    delong_interval,
    one_against_rest_auc,
    proportion_interval,
)


class PatchEvaluation(BaseModel):
    """The performance of the patch classifier on patches it was not fitted to.

    Attributes:
        accuracy: Share of patches whose most probable class is correct.
        class_names: In the order of the label map.
        class_counts: Number of patches of each true class.
        class_auc: AUC of each class against all others; None for a class that does not occur.
        confusion: Counts, rows = true class, columns = predicted class.
        n_patches: Number of patches.
        accuracy_ci95: Interval of the accuracy, bootstrapped by patient; None without patient
            keys.
        class_auc_ci95: Intervals of `class_auc` (DeLong by patient); None for a class with
            fewer than two patients, and without patient keys.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    accuracy: float
    class_names: tuple[str, ...]
    class_counts: tuple[int, ...]
    class_auc: tuple[float | None, ...]
    confusion: tuple[tuple[int, ...], ...]
    n_patches: int
    accuracy_ci95: tuple[float, float] | None = None
    class_auc_ci95: tuple[tuple[float, float] | None, ...] = ()


def patch_evaluation(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    class_names: Sequence[str],
    *,
    groups: npt.ArrayLike | None = None,
    replicates: int = 2000,
    seed: int = 0,
) -> PatchEvaluation:
    """Evaluate patch predictions.

    Args:
        labels: `(n,)` class indices.
        probabilities: `(n, classes)` float, [0, 1].
        class_names: In the order of the label map.
        groups: `(n,)` patient keys; None: no intervals are computed.
        replicates: Bootstrap replicates.
        seed: Seed of the bootstrap.

    Raises:
        RecordError: The shapes do not match.
        ModelError: A probability is not finite.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[1] != len(class_names):
        raise RecordError(
            "Patch probabilities do not fit the label map",
            expected=f"shape (n, {len(class_names)})",
            received=f"shape {scores.shape}",
        )
    class_auc = one_against_rest_auc(labels, scores)
    predicted = scores.argmax(axis=1)
    matrix = confusion_matrix(labels, predicted, len(class_names))
    return PatchEvaluation(
        accuracy=accuracy(labels, predicted),
        class_names=tuple(class_names),
        class_counts=tuple(int(count) for count in matrix.sum(axis=1)),
        class_auc=class_auc,
        confusion=tuple(tuple(int(count) for count in row) for row in matrix),
        n_patches=int(matrix.sum()),
        accuracy_ci95=None
        if groups is None
        else proportion_interval(np.asarray(labels) == predicted, groups, replicates, seed),
        class_auc_ci95=tuple(
            _auc_interval(np.asarray(labels) == index, scores[:, index], groups)
            for index in range(len(class_names))
        ),
    )


def _auc_interval(
    truth: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64], groups: npt.ArrayLike | None
) -> tuple[float, float] | None:
    if groups is None:
        return None
    try:
        interval = delong_interval(truth, scores, groups)
    except RecordError:
        return None
    return interval.low, interval.high
