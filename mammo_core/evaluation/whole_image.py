"""Evaluation of a whole-image classifier.

The validation set chooses the operating point; the test set only measures.
"""

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from mammo_core.errors import ModelError, RecordError
from mammo_core.evaluation.aggregate import Aggregation, per_breast, per_patient
from mammo_core.evaluation.decisions import DecisionRules, fit_rules
from mammo_core.metrics import (
    BinaryCounts,
    Interval,
    OperatingPoint,
    RocCurve,
    auc_interval,
    counts_at,
    operating_point,
    roc_curve,
)
from mammo_core.metrics.calibration import Method
from mammo_core.metrics.checks import finite, unique

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("image_id", "patient_key", "view_id", "laterality", "view", "label", "probability")


class EvaluationConfig(BaseModel):
    """How a whole-image classifier is evaluated.

    Attributes:
        bootstrap_replicates: Replicates of the 95 % intervals (by patient).
        flips: Whether a probability is the mean over the image and its three flips.
        translation: Pixels by which images are also shifted, to nine places; 0 for none.
        overlays: Test views shown with their heatmap in the report.
        operating_specificity: The least specificity of the operating point on validation.
        operating_sensitivity: The least sensitivity of the second operating point there.
        calibration: How probabilities are calibrated; fitted on validation.
        aggregation: From images to breasts and patients.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_replicates: int = Field(default=2000, ge=100)
    flips: bool = False
    translation: int = Field(default=0, ge=0)
    overlays: int = Field(default=6, ge=0)
    operating_specificity: float = Field(default=0.8, ge=0, le=1)
    operating_sensitivity: float = Field(default=0.9, ge=0, le=1)
    calibration: Method = "platt"
    aggregation: Aggregation = Aggregation()


class EvaluationResult(BaseModel):
    """What an evaluation found. AUCs come with 95 % intervals, bootstrapped by patient.

    Attributes:
        rules: Calibration and operating points, fitted on validation.
        auc: Per image.
        auc_ci95: Its interval (low, high).
        breast_auc: Per breast, mean over views; None when all breasts are of one class.
        patient_auc: Per patient, the higher breast; None when all are of one class.
        replicates: Replicates that held both classes.
        n_images: Images (files) in the test set.
        n_views: Views; fewer than images where a view has several files.
        n_breasts: Breasts.
        n_patients: Patients.
        n_malignant: Malignant images.
        n_malignant_views: Malignant views.
        roc: Per image.
        operating_point: Chosen on validation, with its values there; None when validation
            holds one class only.
        at_operating_point: Images of the test set at that threshold.
        sensitivity: Of the test set at that threshold.
        specificity: Of the test set at that threshold.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: DecisionRules
    auc: float
    auc_ci95: tuple[float, float]
    breast_auc: Interval | None
    patient_auc: Interval | None
    replicates: int
    n_images: int
    n_views: int
    n_breasts: int
    n_patients: int
    n_malignant: int
    n_malignant_views: int
    roc: RocCurve
    operating_point: OperatingPoint | None
    at_operating_point: BinaryCounts | None
    sensitivity: float | None
    specificity: float | None


def evaluate(
    predictions: "pd.DataFrame",
    validation: "pd.DataFrame",
    config: EvaluationConfig,
    seed: int,
) -> EvaluationResult:
    """Evaluate predictions on the test set.

    Args:
        predictions: Test set, one row per image: image_id, patient_key, view_id, laterality,
            view, label (0 or 1 = malignant), probability (malignant, [0, 1]).
        validation: The same of the validation set; no patient of it is in the test set.
        config: How to evaluate.
        seed: Of the bootstrap.

    Returns:
        Everything the report and the gate need, as plain numbers.

    Raises:
        RecordError: Columns are missing, ids occur twice, the sets share a patient, or the
            test set holds one class only.
        ModelError: A probability is not in [0, 1].
    """
    test = check_predictions(predictions, "test")
    chosen_on = check_predictions(validation, "validation")
    shared = sorted(set(test["patient_key"]) & set(chosen_on["patient_key"]))
    if shared:
        raise RecordError(
            "Validation and test share patients",
            expected="every patient in one split",
            received=f"{len(shared)} patients in both, first {shared[0]}",
            hint="Make the split again: it must be by patient.",
        )

    def interval(frame: "pd.DataFrame") -> Interval:
        return auc_interval(
            frame["label"].to_numpy(),
            frame["probability"].to_numpy(),
            frame["patient_key"].to_numpy(),
            config.bootstrap_replicates,
            seed,
        )

    rules = fit_rules(
        chosen_on,
        calibration=config.calibration,
        specificity=config.operating_specificity,
        sensitivity=config.operating_sensitivity,
        aggregation=config.aggregation,
        flips=config.flips,
        translation=config.translation,
    )
    images = interval(test)
    breasts = per_breast(test, config.aggregation)
    patients = per_patient(test, config.aggregation)
    point: OperatingPoint | None = None
    counts: BinaryCounts | None = None
    if chosen_on["label"].nunique() == 2:
        point = operating_point(
            chosen_on["label"].to_numpy(),
            chosen_on["probability"].to_numpy(),
            config.operating_specificity,
        )
        counts = counts_at(
            test["label"].to_numpy(), test["probability"].to_numpy(), point.threshold
        )
    return EvaluationResult(
        rules=rules,
        auc=images.value,
        auc_ci95=(images.low, images.high),
        breast_auc=interval(breasts) if breasts["label"].nunique() == 2 else None,
        patient_auc=interval(patients) if patients["label"].nunique() == 2 else None,
        replicates=images.replicates,
        n_images=len(test),
        n_views=int(test["view_id"].nunique()),
        n_breasts=len(breasts),
        n_patients=len(patients),
        n_malignant=int(test["label"].sum()),
        n_malignant_views=int(test.loc[test["label"] == 1, "view_id"].nunique()),
        roc=roc_curve(test["label"].to_numpy(), test["probability"].to_numpy()),
        operating_point=point,
        at_operating_point=counts,
        sensitivity=counts.sensitivity if counts else None,
        specificity=counts.specificity if counts else None,
    )


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
