"""Tables of predictions: what every evaluation asks of them."""

from typing import TYPE_CHECKING

from mammo_core.errors import ModelError, RecordError
from mammo_core.metrics import Interval
from mammo_core.metrics.checks import finite, unique

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("image_id", "patient_key", "view_id", "laterality", "view", "label", "probability")


def check_predictions(frame: "pd.DataFrame", name: str) -> "pd.DataFrame":
    """Return a table of predictions sorted by image id, or say what is wrong with it.

    Args:
        frame: Columns as in `evaluate`.
        name: Of the set, for messages ("test").

    Raises:
        RecordError: Columns are missing, it is empty, ids occur twice or labels are not 0 or 1.
        ModelError: A probability is not in [0, 1].
    """
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing or frame.empty:
        raise RecordError(
            f"The {name} predictions cannot be evaluated",
            expected=f"at least one row with the columns {', '.join(COLUMNS)}",
            received=f"{len(frame)} rows without {', '.join(missing) or 'a record'}",
        )
    unique(frame["image_id"], f"image_id in the {name} predictions")
    empty = [column for column in COLUMNS if frame[column].isna().any() and column != "probability"]
    labels = sorted(frame["label"].dropna().unique().tolist())
    if empty or not set(labels) <= {0, 1}:
        raise RecordError(
            f"The {name} predictions are not whole",
            expected="labels 0 or 1 and no empty cell",
            received=f"labels {labels}, empty cells in {', '.join(empty) or 'no column'}",
        )
    scores = finite(frame["probability"].to_numpy())
    if scores.min() < 0 or scores.max() > 1:
        raise ModelError(
            f"The {name} predictions are no probabilities",
            expected="numbers in [0, 1]",
            received=f"{scores.min():g} to {scores.max():g}",
        )
    # Sums of floats depend on their order: the same set gives the same bytes.
    return frame.sort_values("image_id", ignore_index=True).astype({"label": int})


def check_same_records(
    ours: "pd.DataFrame", theirs: "pd.DataFrame", names: tuple[str, str]
) -> None:
    """Refuse two checked tables that are not of the same images with the same labels.

    Args:
        ours: From `check_predictions`.
        theirs: From `check_predictions`.
        names: Of the two, for the message.

    Raises:
        RecordError: Image ids, patients or labels differ.
    """
    columns = ["image_id", "patient_key", "label"]
    if not ours[columns].equals(theirs[columns]):
        both = len(set(ours["image_id"]) & set(theirs["image_id"]))
        raise RecordError(
            f"{names[0]} and {names[1]} were not tested on the same records",
            expected="the same image ids with the same labels",
            received=f"{len(ours)} and {len(theirs)} images, {both} of them in both",
            hint="Predict both on one frame.",
        )


def class_patients(table: "pd.DataFrame") -> tuple[int, int]:
    """Count the patients with malignant records, and those with benign ones."""
    by_label = table.groupby("label")["patient_key"].nunique()
    return int(by_label.get(1, 0)), int(by_label.get(0, 0))


def small_warning(table: "pd.DataFrame", least: int) -> str:
    """Say that a set is small, or nothing.

    Args:
        table: Predictions of any level.
        least: Patients of each class that are enough.
    """
    malignant, benign = class_patients(table)
    if min(malignant, benign) >= least:
        return ""
    return f"small: {malignant} malignant, {benign} benign patients"


def never_certain(interval: Interval, patients: int) -> Interval:
    """Widen an interval of no width: of a value of 0 or 1, which no resampling can widen.

    Wilson's interval of a share of so many patients.

    Args:
        interval: Of a share or an AUC.
        patients: Independent ones among those it was computed of.
    """
    if interval.low != interval.high or interval.value not in (0, 1) or not patients:
        return interval
    from scipy.stats import binomtest

    ends = binomtest(round(interval.value * patients), patients).proportion_ci(method="wilson")
    low, high = min(interval.value, float(ends.low)), max(interval.value, float(ends.high))
    return Interval(interval.value, low, high, interval.replicates)
