"""Tables of predictions: their validation, and warnings about small sets."""

from typing import TYPE_CHECKING

from mammo_core.errors import ModelError, RecordError
from mammo_core.metrics import Interval
from mammo_core.metrics.checks import require_finite, require_unique

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "image_id", "patient_key", "exam_key", "view_id", "laterality", "view", "view_class", "label",
    "probability",
)  # fmt: skip


def validate_predictions(frame: "pd.DataFrame", name: str) -> "pd.DataFrame":
    """Return a valid table of predictions sorted by image id.

    Args:
        frame: Columns as in `evaluate`.
        name: Name of the set in messages ("test").

    Raises:
        RecordError: Columns are missing, the table is empty, ids occur twice or labels are not
            0 or 1.
        ModelError: A probability is not in [0, 1].
    """
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing or frame.empty:
        raise RecordError(
            f"The {name} predictions cannot be evaluated",
            expected=f"at least one row with the columns {', '.join(COLUMNS)}",
            received=f"{len(frame)} rows without {', '.join(missing) or 'a record'}",
        )
    require_unique(frame["image_id"], f"image_id in the {name} predictions")
    empty = [column for column in COLUMNS if frame[column].isna().any() and column != "probability"]
    labels = sorted(frame["label"].dropna().unique().tolist())
    if empty or not set(labels) <= {0, 1}:
        raise RecordError(
            f"The {name} predictions are incomplete",
            expected="labels 0 or 1 and no empty cell",
            received=f"labels {labels}, empty cells in {', '.join(empty) or 'no column'}",
        )
    scores = require_finite(frame["probability"].to_numpy())
    if scores.min() < 0 or scores.max() > 1:
        raise ModelError(
            f"The {name} predictions contain values outside [0, 1]",
            expected="probabilities",
            received=f"{scores.min():g} to {scores.max():g}",
        )
    # Sums of floats depend on their order: the same set gives the same bytes.
    return frame.sort_values("image_id", ignore_index=True).astype({"label": int})


def require_same_records(
    first: "pd.DataFrame", second: "pd.DataFrame", names: tuple[str, str]
) -> None:
    """Require that two valid tables are of the same images with the same labels.

    Args:
        first: From `validate_predictions`.
        second: From `validate_predictions`.
        names: Names of the two in the message.

    Raises:
        RecordError: Image ids, patients or labels differ.
    """
    columns = ["image_id", "patient_key", "label"]
    if not first[columns].equals(second[columns]):
        common = len(set(first["image_id"]) & set(second["image_id"]))
        raise RecordError(
            f"{names[0]} and {names[1]} were not tested on the same records",
            expected="the same image ids with the same labels",
            received=f"{len(first)} and {len(second)} images, {common} of them in both",
            hint="Predict both on one frame.",
        )


def class_patients(table: "pd.DataFrame") -> tuple[int, int]:
    """Count the patients with malignant records, and those with benign records."""
    by_label = table.groupby("label")["patient_key"].nunique()
    return int(by_label.get(1, 0)), int(by_label.get(0, 0))


def small_set_warning(table: "pd.DataFrame", minimum: int) -> str:
    """Return a warning if a set is small, otherwise an empty string.

    Args:
        table: Predictions of any level.
        minimum: Patients of each class that are enough.
    """
    malignant, benign = class_patients(table)
    if min(malignant, benign) >= minimum:
        return ""
    return f"small: {malignant} malignant, {benign} benign patients"


def widen_extreme(interval: Interval, patients: int) -> Interval:
    """Widen the interval of a value of exactly 0 or 1, which resampling gives no width.

    The result is Wilson's interval of a proportion of that many patients.

    Args:
        interval: Interval of a proportion or an AUC.
        patients: Independent patients that the value rests on.
    """
    if interval.low != interval.high or interval.value not in (0, 1) or not patients:
        return interval
    from scipy.stats import binomtest

    ends = binomtest(round(interval.value * patients), patients).proportion_ci(method="wilson")
    low, high = min(interval.value, float(ends.low)), max(interval.value, float(ends.high))
    return Interval(interval.value, low, high, interval.replicates)
