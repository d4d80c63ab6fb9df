"""Validation of the arrays that metrics are computed from."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from mammo_core.errors import ModelError, RecordError

Labels = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]


def require_binary(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Labels, Scores]:
    """Return labels and scores as flat arrays.

    Args:
        labels: `(n,)`, 0 or 1 (1 = malignant), both present.
        scores: `(n,)` finite numbers, higher = more likely malignant.

    Returns:
        `(n,) int64` and `(n,) float64`.

    Raises:
        RecordError: Lengths differ, or the labels are not of two classes.
        ModelError: A score is not a finite number.
    """
    label_array = np.asarray(labels)
    score_array = require_finite(scores)
    if label_array.ndim != 1 or score_array.shape != label_array.shape:
        raise RecordError(
            "Labels and scores do not match",
            expected="one label and one score per record, in flat arrays",
            received=f"labels of shape {label_array.shape}, scores of shape {score_array.shape}",
        )
    present = sorted({_as_int(value) for value in label_array.tolist()}, key=str)
    if present != [0, 1]:
        raise RecordError(
            "This metric needs both classes",
            expected="labels 0 and 1, each at least once",
            received=f"{len(label_array)} records with labels {present}",
            hint="A small split may contain one class only; put more patients into it.",
        )
    return label_array.astype(np.int64), score_array


def require_finite(scores: npt.ArrayLike) -> Scores:
    """Return scores as float64 of the same shape; NaN and infinity are errors.

    Raises:
        ModelError: A score is not a finite number.
    """
    array = np.asarray(scores, dtype=np.float64)
    invalid = np.flatnonzero(~np.isfinite(array.reshape(-1)))
    if len(invalid):
        raise ModelError(
            "The network returned scores that are not numbers",
            expected="finite scores",
            received=f"{len(invalid)} of {array.size} not finite, first at position {invalid[0]}",
            hint="Training may have diverged: lower the learning rate.",
        )
    return array


def require_probabilities(scores: npt.ArrayLike) -> Scores:
    """Return probabilities as float64 of the same shape, [0, 1].

    Raises:
        ModelError: A score is not a finite number in [0, 1].
    """
    array = require_finite(scores)
    if array.size and (array.min() < 0 or array.max() > 1):
        raise ModelError(
            "The scores are not probabilities",
            expected="numbers in [0, 1]",
            received=f"{array.min():g} to {array.max():g}",
        )
    return array


def require_unique(ids: Iterable[str], name: str) -> None:
    """Raise an error for ids that occur more than once.

    Args:
        ids: Record ids.
        name: Name of the ids in the message ("image_id").

    Raises:
        RecordError: An id occurs more than once.
    """
    repeated = sorted(id for id, count in Counter(ids).items() if count > 1)
    if repeated:
        shown = ", ".join(str(id) for id in repeated[:3])
        raise RecordError(
            f"Duplicate {name}",
            expected="every record once",
            received=f"{len(repeated)} ids more than once: {shown}",
        )


def _as_int(value: object) -> object:
    """True, 1 and 1.0 are the same label."""
    return int(value) if isinstance(value, bool | float) and value in (0, 1) else value
