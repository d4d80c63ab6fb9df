"""Two models on the same records: how much better is one, and is that more than chance."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from mammo_core.errors import RecordError
from mammo_core.evaluation.aggregate import LEVELS, Aggregation, Level, at_level, in_two_views
from mammo_core.evaluation.config import EvaluationConfig
from mammo_core.evaluation.predictions import (
    check_predictions,
    check_same_records,
    small_warning,
)
from mammo_core.metrics import (
    DeLongDifference,
    Interval,
    RocCurve,
    auc_difference,
    auc_interval,
    delong_difference,
    roc_curve,
)

if TYPE_CHECKING:
    import pandas as pd


class LevelComparison(BaseModel):
    """Two models on the images, breasts or patients of one test set.

    Attributes:
        level: image, breast or patient.
        n: How many of them.
        n_malignant: Malignant ones.
        n_patients: Patients.
        auc: Of the model.
        reference_auc: Of the reference.
        difference: Model minus reference, bootstrapped by patient, both on the same draws.
        delong: The same by DeLong's paired test by patient; None with fewer than two patients
            of a class.
        roc: Of the model.
        reference_roc: Of the reference.
        warning: Set when there are few patients.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Level
    n: int
    n_malignant: int
    n_patients: int
    auc: Interval
    reference_auc: Interval
    difference: Interval
    delong: DeLongDifference | None
    roc: RocCurve
    reference_roc: RocCurve
    warning: str


class ComparisonResult(BaseModel):
    """Two models on the same test set.

    Attributes:
        name: Of the model.
        reference: Of the model it is compared with.
        levels: Per image and, where both classes occur, per breast and per patient; without
            images where a model sees both views of a breast.
        correlation: Of the two models' probabilities (Spearman, at the first level): models
            that rank alike gain little from an ensemble.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    reference: str
    levels: tuple[LevelComparison, ...]
    correlation: float | None


def compare(
    predictions: "pd.DataFrame",
    reference: "pd.DataFrame",
    config: EvaluationConfig,
    seed: int,
    *,
    names: tuple[str, str] = ("model", "reference"),
    levels: Sequence[Level] = LEVELS,
) -> ComparisonResult:
    """Compare two models on the same images.

    Args:
        predictions: Of the model, columns as in `evaluate`.
        reference: Of the other, the same images with the same labels.
        config: How to evaluate.
        seed: Of the bootstrap.
        names: Of the model and of the reference.
        levels: Where to compare. Without images, only those of CC and MLO count: what a model
            of both views sees.

    Raises:
        RecordError: The two were not predicted on the same images, a table cannot be
            evaluated, or the records of the first level are of one class.
        ModelError: A probability is not in [0, 1].
    """
    if "image" not in levels:
        predictions, reference = in_two_views(predictions), in_two_views(reference)
    ours = check_predictions(predictions, f"{names[0]}'s")
    theirs = check_predictions(reference, f"{names[1]}'s")
    check_same_records(ours, theirs, names)
    compared = []
    for level in levels:
        try:
            compared.append(_level(ours, theirs, level, config, seed))
        except RecordError:
            if level == levels[0]:
                raise
    first = [at_level(table, levels[0], config.aggregation) for table in (ours, theirs)]
    return ComparisonResult(
        name=names[0],
        reference=names[1],
        levels=tuple(compared),
        correlation=_correlation(first[0], first[1]),
    )


def _level(
    ours: "pd.DataFrame",
    theirs: "pd.DataFrame",
    level: Level,
    config: EvaluationConfig,
    seed: int,
) -> LevelComparison:
    aggregation: Aggregation = config.aggregation
    first, second = (at_level(table, level, aggregation) for table in (ours, theirs))
    labels, groups = first["label"].to_numpy(), first["patient_key"].to_numpy()
    mine, other = first["probability"].to_numpy(), second["probability"].to_numpy()
    replicates = config.bootstrap_replicates
    try:
        delong = delong_difference(labels, mine, other, groups)
    except RecordError:
        delong = None
    return LevelComparison(
        level=level,
        n=len(first),
        n_malignant=int(labels.sum()),
        n_patients=int(first["patient_key"].nunique()),
        auc=auc_interval(labels, mine, groups, replicates, seed),
        reference_auc=auc_interval(labels, other, groups, replicates, seed),
        difference=auc_difference(labels, mine, other, groups, replicates, seed),
        delong=delong,
        roc=roc_curve(labels, mine),
        reference_roc=roc_curve(labels, other),
        warning=small_warning(first, config.small_group),
    )


def _correlation(ours: "pd.DataFrame", theirs: "pd.DataFrame") -> float | None:
    from scipy.stats import spearmanr

    scores = [table["probability"].to_numpy() for table in (ours, theirs)]
    if any(one.min() == one.max() for one in scores):
        return None  # a constant has no rank
    return float(spearmanr(*scores).statistic)
