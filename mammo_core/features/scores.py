"""Scores of models as features: the probability that a model gives an image."""

from datetime import UTC, datetime

import pandas as pd

from mammo_core.errors import RecordError
from mammo_core.features import stored_registry, view_files
from mammo_core.features.definitions import IMAGE_METADATA, MODEL_SCORES
from mammo_core.store import Store

#: Rounding error of probabilities in float32.
_ROUNDING = 1e-6


def publish_scores(
    store: Store,
    scores: pd.DataFrame,
    *,
    folder: str,
    model_id: str,
    evaluation_id: str = "",
    at: datetime | None = None,
) -> int:
    """Publish the scores of a model; rows that are already published are not written again.

    Args:
        store: The object store.
        scores: image_id, probability (malignant, [0, 1]); one row per image.
        folder: Folder of the feature store.
        model_id: The training or package that computed the scores.
        evaluation_id: The evaluation of the scores, if any.
        at: Event time (UTC); default now.

    Returns:
        Rows written.

    Raises:
        RecordError: A score is for an unknown image, or is not a probability.
    """
    invalid = scores[~scores["probability"].between(-_ROUNDING, 1 + _ROUNDING)]
    if len(invalid):
        raise RecordError(
            f"The score of the image {invalid['image_id'].iloc[0]} is not a probability",
            expected="a number from 0 to 1",
            received=str(invalid["probability"].iloc[0]),
        )
    stored_registry.require_no_code(store, folder)
    # Not the lease of the whole feature store: who evaluates may write to this view alone.
    with store.lease(f"{folder}/{MODEL_SCORES.name}"):
        image_ids = set(view_files.latest_rows(store, folder, IMAGE_METADATA)["image_id"])
        unknown = sorted(set(scores["image_id"].astype(str)) - image_ids)
        if unknown:
            raise RecordError(
                f"A score is for an unknown image: {unknown[0]}",
                expected=f"one of the {len(image_ids)} images of the feature store",
                received=f"{len(unknown)} images that are not in it",
                hint="publish the features of the images first",
            )
        rows = scores[["image_id"]].assign(
            model_id=model_id,
            malignant_probability=scores["probability"].astype("float64").clip(0, 1),
            evaluation_id=evaluation_id,
        )
        return view_files.append_rows(store, folder, MODEL_SCORES, rows, at or datetime.now(UTC))
