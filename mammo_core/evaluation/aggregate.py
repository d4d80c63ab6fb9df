"""Aggregation of probabilities from images to breasts and patients."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from mammo_core.errors import ModelError
from mammo_core.models.config import VIEWS

if TYPE_CHECKING:
    import pandas as pd

Level = Literal["image", "breast", "patient"]
LEVELS: tuple[Level, ...] = ("image", "breast", "patient")
#: What a network sees at once: one image, or both views of a breast.
Unit = Literal["image", "breast"]


class Aggregation(BaseModel):
    """How probabilities of images are combined into one per breast and one per patient.

    Attributes:
        views: How the views of a breast are combined. The files of one view are averaged first.
        sides: How the two breasts of a patient are combined.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    views: Literal["mean", "max"] = "mean"
    sides: Literal["mean", "max"] = "max"


def per_breast(
    predictions: "pd.DataFrame", aggregation: Aggregation | None = None
) -> "pd.DataFrame":
    """Aggregate to breasts: the mean over the files of a view, then over the views.

    Args:
        predictions: One row per image, columns as in `evaluate`; `label` is optional.
        aggregation: Default: mean over views.

    Returns:
        Columns patient_key, exam_key, laterality, label (1: any image is malignant),
        probability.
    """
    keys = ["patient_key", "exam_key", "laterality"]
    views = (aggregation or Aggregation()).views
    # Files of one view first: otherwise a view that was scanned twice would count twice.
    by_view = _group(predictions, [*keys, "view_id"], "mean")
    return _group(by_view, keys, views)


def per_patient(
    predictions: "pd.DataFrame", aggregation: Aggregation | None = None
) -> "pd.DataFrame":
    """Aggregate to patients, each at one exam: by default the higher of the two breasts.

    Args:
        predictions: One row per image, columns as in `evaluate`; `label` is optional.
        aggregation: Default: mean over views, maximum over sides.

    Returns:
        Columns patient_key, exam_key, label (1: any breast is malignant), probability.
    """
    sides = (aggregation or Aggregation()).sides
    return _group(per_breast(predictions, aggregation), ["patient_key", "exam_key"], sides)


def at_level(
    predictions: "pd.DataFrame", level: Level, aggregation: Aggregation | None = None
) -> "pd.DataFrame":
    """Return the predictions of a level: images unchanged, breasts and patients aggregated.

    Args:
        predictions: One row per image, columns as in `evaluate`; `label` is optional.
        level: The level.
        aggregation: How to aggregate.
    """
    if level == "image":
        return predictions
    return (per_breast if level == "breast" else per_patient)(predictions, aggregation)


def cc_and_mlo_views(predictions: "pd.DataFrame") -> "pd.DataFrame":
    """Return the images that count as CC or MLO: those that a network of both views takes.

    Args:
        predictions: One row per image, columns as in `evaluate`.
    """
    return predictions[predictions["view_class"].isin(["CC", "MLO"])]


def unit_of(model: Any) -> Unit:
    """Return what a network sees at once, according to its inputs.

    Args:
        model: A `keras.Model`.

    Raises:
        ModelError: It takes neither one image nor the two views of a breast.
    """
    names = [tensor.name for tensor in model.inputs]
    if len(names) == 1:
        return "image"
    if names == list(VIEWS):
        return "breast"
    raise ModelError(
        "This whole-image classifier cannot be used",
        expected=f"a network that takes one image, or the inputs {' and '.join(VIEWS)}",
        received=f"one that takes {', '.join(names)}",
    )


def _group(table: "pd.DataFrame", keys: list[str], how: str) -> "pd.DataFrame":
    columns = {"label": ("label", "max"), "probability": ("probability", how)}
    if "label" not in table.columns:  # unlabeled images
        del columns["label"]
    return table.groupby(keys, as_index=False, sort=True).agg(**columns)
