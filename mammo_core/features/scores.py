"""Scores of models as features: what each model said of each image."""

from datetime import UTC, datetime

import pandas as pd

from mammo_core.errors import RecordError
from mammo_core.features import parts, stored_registry
from mammo_core.features.definitions import IMAGE_METADATA, MODEL_SCORES
from mammo_core.store import Store

#: What sums of float32 may be off.
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
    """Publish the scores of a model; what is known is not written again.

    Args:
        store: The object store.
        scores: image_id, probability (malignant, [0, 1]); one row per image.
        folder: Folder of the feature store.
        model_id: The training or package that scored.
        evaluation_id: The evaluation that the scores are from, if any.
        at: Event time (UTC); default now.

    Returns:
        Rows written.

    Raises:
        RecordError: A score for an unknown image, or one that is no probability.
    """
    wrong = scores[~scores["probability"].between(-_ROUNDING, 1 + _ROUNDING)]
    if len(wrong):
        raise RecordError(
            f"The score of the image {wrong['image_id'].iloc[0]} is no probability",
            expected="a number from 0 to 1",
            received=str(wrong["probability"].iloc[0]),
        )
    with stored_registry.leased(store, folder):
        known = set(parts.latest(store, folder, IMAGE_METADATA)["image_id"])
        unknown = sorted(set(scores["image_id"].astype(str)) - known)
        if unknown:
            raise RecordError(
                f"A score is for an unknown image: {unknown[0]}",
                expected=f"one of the {len(known)} images of the feature store",
                received=f"{len(unknown)} that it does not know",
                hint="publish the features of the images first",
            )
        rows = scores[["image_id"]].assign(
            model_id=model_id,
            malignant_probability=scores["probability"].astype("float64").clip(0, 1),
            evaluation_id=evaluation_id,
        )
        return parts.append(store, folder, MODEL_SCORES, rows, at or datetime.now(UTC))
