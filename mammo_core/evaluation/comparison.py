"""Comparison of two models on the same records: the difference, and whether it is chance."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from mammo_core.errors import RecordError
from mammo_core.evaluation.aggregate import LEVELS, Aggregation, Level, at_level, cc_and_mlo_views
from mammo_core.evaluation.config import EvaluationConfig
from mammo_core.evaluation.predictions import (
    require_same_records,
    small_set_warning,
    validate_predictions,
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
        n: Number of images, breasts or patients.
        n_malignant: Number of malignant ones.
        n_patients: Number of patients.
        auc: AUC of the model.
        reference_auc: AUC of the reference.
        difference: Model minus reference, bootstrapped by patient, both on the same draws.
        delong: The same by DeLong's paired test by patient; None with fewer than two patients
            of a class.
        roc: ROC curve of the model.
        reference_roc: ROC curve of the reference.
        warning: A warning if there are few patients.
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
        name: Name of the model.
        reference: Name of the model it is compared with.
        levels: Per image and, if both classes occur, per breast and per patient; without
            images if a model sees both views of a breast.
        correlation: Spearman correlation of the two models' probabilities at the first level:
            models that rank alike gain little from an ensemble. None if one is constant.
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
    aggregations: tuple[Aggregation, Aggregation] | None = None,
) -> ComparisonResult:
    """Compare two models on the same images.

    Args:
        predictions: Predictions of the model, columns as in `evaluate`.
        reference: Predictions of the other model, for the same images with the same labels.
        config: How to evaluate.
        seed: Seed of the bootstrap.
        names: Names of the model and of the reference.
        levels: Levels to compare at. Without the level of images, only CC and MLO images are
            used: those that a model of both views takes.
        aggregations: How the images of each are aggregated; None: both as in `config`.

    Raises:
        RecordError: The two are not of the same images, a table cannot be evaluated, or the
            first level has one class only.
        ModelError: A probability is not in [0, 1].
    """
    if "image" not in levels:
        predictions, reference = cc_and_mlo_views(predictions), cc_and_mlo_views(reference)
    first = validate_predictions(predictions, f"{names[0]}'s")
    second = validate_predictions(reference, f"{names[1]}'s")
    require_same_records(first, second, names)
    ways = aggregations or (config.aggregation, config.aggregation)
    comparisons = []
    for level in levels:
        try:
            comparisons.append(_compare_level((first, second), ways, level, config, seed))
        except RecordError:
            if level == levels[0]:
                raise
    at_first = [
        at_level(table, levels[0], way) for table, way in zip((first, second), ways, strict=True)
    ]
    return ComparisonResult(
        name=names[0],
        reference=names[1],
        levels=tuple(comparisons),
        correlation=_correlation(at_first[0], at_first[1]),
    )


def _compare_level(
    tables: "tuple[pd.DataFrame, pd.DataFrame]",
    ways: tuple[Aggregation, Aggregation],
    level: Level,
    config: EvaluationConfig,
    seed: int,
) -> LevelComparison:
    first, second = (at_level(table, level, way) for table, way in zip(tables, ways, strict=True))
    labels, groups = first["label"].to_numpy(), first["patient_key"].to_numpy()
    scores, reference_scores = first["probability"].to_numpy(), second["probability"].to_numpy()
    replicates = config.bootstrap_replicates
    try:
        delong = delong_difference(labels, scores, reference_scores, groups)
    except RecordError:
        delong = None
    return LevelComparison(
        level=level,
        n=len(first),
        n_malignant=int(labels.sum()),
        n_patients=int(first["patient_key"].nunique()),
        auc=auc_interval(labels, scores, groups, replicates, seed),
        reference_auc=auc_interval(labels, reference_scores, groups, replicates, seed),
        difference=auc_difference(labels, scores, reference_scores, groups, replicates, seed),
        delong=delong,
        roc=roc_curve(labels, scores),
        reference_roc=roc_curve(labels, reference_scores),
        warning=small_set_warning(first, config.small_group),
    )


def _correlation(first: "pd.DataFrame", second: "pd.DataFrame") -> float | None:
    from scipy.stats import spearmanr

    scores = [table["probability"].to_numpy() for table in (first, second)]
    if any(values.min() == values.max() for values in scores):
        return None  # a constant has no rank
    return float(spearmanr(*scores).statistic)
