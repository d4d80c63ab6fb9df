"""Ensembles: the weighted mean of the probabilities of several models.

The original averaged the probabilities of its models, each the mean over four flips
(docs/original-system.md, "Evaluation and ensembles"). Weights are chosen on validation, never on
test.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecipeError, RecordError
from mammo_core.metrics.checks import require_probabilities, require_unique

if TYPE_CHECKING:
    import pandas as pd


def normalize_weights(weights: Sequence[float] | None, members: int) -> tuple[float, ...]:
    """Return weights that sum to 1.

    Args:
        weights: One per model, at least 0 and not all 0; None for equal weights.
        members: Number of models.

    Raises:
        RecipeError: There is not one per model, or a weight is invalid.
    """
    values = np.asarray([1.0] * members if weights is None else list(weights), dtype=np.float64)
    total = values.sum() if values.size else 0.0
    if members < 1 or values.shape != (members,) or not 0 < total < np.inf or values.min() < 0:
        raise RecipeError(
            "These ensemble weights cannot be used",
            expected=f"{members} numbers, one per model, at least 0 and not all 0",
            received=", ".join(f"{weight:g}" for weight in values) or "none",
        )
    return tuple(float(weight) for weight in values / total)


def average(
    members: Sequence[npt.ArrayLike], weights: Sequence[float] | None = None
) -> npt.NDArray[np.float64]:
    """Average the probabilities of several models.

    Args:
        members: For each model the probabilities of the same images in the same order, all
            of one shape, [0, 1].
        weights: As in `normalize_weights`.

    Returns:
        float64 of the same shape, [0, 1].

    Raises:
        RecipeError: No model is given, or the weights do not match.
        RecordError: The shapes differ.
        ModelError: A number is not a probability.
    """
    shares = normalize_weights(weights, len(members))
    arrays = [require_probabilities(member) for member in members]
    if len({array.shape for array in arrays}) > 1:
        raise RecordError(
            "The models of an ensemble were not applied to the same images",
            expected="probabilities of one shape",
            received=", ".join(str(array.shape) for array in arrays),
        )
    total = sum(share * array for share, array in zip(shares, arrays, strict=True))
    # Rounding may exceed 1 slightly.
    return np.clip(np.asarray(total, dtype=np.float64), 0.0, 1.0)


def average_tables(
    tables: Sequence["pd.DataFrame"], weights: Sequence[float] | None = None
) -> "pd.DataFrame":
    """Average tables of predictions of the same images.

    Args:
        tables: For each model one row per image with image_id, probability and any other
            columns; labels, if given, must be the same in all.
        weights: As in `normalize_weights`.

    Returns:
        The rows of the first table sorted by image_id, with the averaged probability.

    Raises:
        RecipeError: No table is given, or the weights do not match.
        RecordError: Ids occur twice, or the tables are not of the same images and labels.
        ModelError: A number is not a probability.
    """
    shares = normalize_weights(weights, len(tables))
    ordered = []
    for number, table in enumerate(tables, start=1):
        require_unique(table["image_id"], f"image_id in the predictions of model {number}")
        ordered.append(table.sort_values("image_id", ignore_index=True))
    first = ordered[0]
    for number, table in enumerate(ordered[1:], start=2):
        shared = ["image_id", *(["label"] if "label" in first and "label" in table else [])]
        if len(first) != len(table) or (first[shared].to_numpy() != table[shared].to_numpy()).any():
            common = len(set(first["image_id"]) & set(table["image_id"]))
            raise RecordError(
                f"Models 1 and {number} of an ensemble were not applied to the same images",
                expected="the same image ids with the same labels",
                received=f"{len(first)} and {len(table)} images, {common} of them in both",
                hint="Predict all on one frame.",
            )
    scores = average([table["probability"].to_numpy() for table in ordered], shares)
    return first.assign(probability=scores)


def ensemble_id(model_ids: Sequence[str], weights: Sequence[float] | None = None) -> str:
    """Return the id of an ensemble: a hash of its models' ids, or the id of its only model.

    The order of the models and the scale of the weights do not matter.

    Args:
        model_ids: One per model.
        weights: As in `normalize_weights`.

    Raises:
        RecipeError: No model is given, or the weights do not match.
    """
    shares = normalize_weights(weights, len(model_ids))
    if len(model_ids) == 1:
        return model_ids[0]
    lines = sorted(f"{name} {share:.9f}" for name, share in zip(model_ids, shares, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
