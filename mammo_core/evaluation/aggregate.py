"""From images to breasts and patients."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def per_breast(predictions: "pd.DataFrame") -> "pd.DataFrame":
    """Aggregate to breasts: the mean over the files of a view, then over the views.

    Args:
        predictions: One row per image, columns as in `evaluate`.

    Returns:
        Columns patient_key, laterality, label (1: any image is malignant), probability.
    """
    keys = ["patient_key", "laterality"]
    # Files of one view first, or a view that was scanned twice would count twice.
    views = predictions.groupby([*keys, "view_id"], as_index=False, sort=True).agg(
        label=("label", "max"), probability=("probability", "mean")
    )
    return views.groupby(keys, as_index=False, sort=True).agg(
        label=("label", "max"), probability=("probability", "mean")
    )


def per_patient(predictions: "pd.DataFrame") -> "pd.DataFrame":
    """Aggregate to patients: the higher of the two breasts.

    Args:
        predictions: One row per image, columns as in `evaluate`.

    Returns:
        Columns patient_key, label (1: any breast is malignant), probability.
    """
    return (
        per_breast(predictions)
        .groupby("patient_key", as_index=False, sort=True)
        .agg(label=("label", "max"), probability=("probability", "max"))
    )
