"""The performance of a classifier per image, per breast or per patient."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from mammo_core.errors import ModelError, RecordError
from mammo_core.evaluation.aggregate import Level, at_level
from mammo_core.evaluation.config import EvaluationConfig
from mammo_core.evaluation.decisions import DecisionRules
from mammo_core.evaluation.predictions import class_patients, small_set_warning, widen_extreme
from mammo_core.metrics import (
    BinaryCounts,
    DeLongInterval,
    Interval,
    Metric,
    MetricSettings,
    PrecisionRecallCurve,
    ReliabilityCurve,
    RocCurve,
    counts_at,
    intervals,
    metrics,
    precision_recall_curve,
    reliability_curve,
    roc_curve,
)
from mammo_core.metrics.weighted import (
    WeightedMetric,
    sensitivity_at,
    specificity_at,
    unweighted,
)

if TYPE_CHECKING:
    import pandas as pd

MetricValue = Interval | DeLongInterval | float | None

_ROUNDING = 1e-9


class PointResult(BaseModel):
    """The performance on test of an operating point that was chosen on validation.

    Attributes:
        name: Name of the point.
        threshold: Called malignant when the uncalibrated probability is >= threshold.
        sensitivity: On test.
        specificity: On test.
        counts: On test.
        validation_sensitivity: On the set it was chosen on.
        validation_specificity: On the set it was chosen on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    threshold: float
    sensitivity: Interval
    specificity: Interval
    counts: BinaryCounts
    validation_sensitivity: float
    validation_specificity: float


class LevelResult(BaseModel):
    """The metrics of one level, with 95 % intervals by patient.

    In JSON each metric is a key of the level itself.

    Attributes:
        level: image, breast or patient.
        n: Number of images, breasts or patients.
        n_malignant: Number of malignant ones.
        n_patients: Number of patients.
        metrics: Value of each registered metric by name; None where it is undefined.
        roc: The ROC curve, with finite thresholds.
        precision_recall: The precision-recall curve.
        reliability: Reliability of the uncalibrated probabilities.
        reliability_calibrated: Reliability after calibration.
        operating_points: Chosen on validation; empty if validation has one class only.
        warning: A warning if there are few patients.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Level
    n: int
    n_malignant: int
    n_patients: int
    metrics: dict[str, MetricValue]
    roc: RocCurve
    precision_recall: PrecisionRecallCurve
    reliability: ReliabilityCurve
    reliability_calibrated: ReliabilityCurve
    operating_points: tuple[PointResult, ...]
    warning: str

    @property
    def auc(self) -> Interval:
        """The AUC with its bootstrap interval."""
        return cast(Interval, self.metrics["auc"])  # a level without an AUC has no result

    @model_validator(mode="before")
    @classmethod
    def _collect_metrics(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or "metrics" in data:
            return data
        names = cls.model_fields.keys()
        return {
            **{name: value for name, value in data.items() if name in names},
            "metrics": {name: value for name, value in data.items() if name not in names},
        }

    @model_serializer(mode="wrap")
    def _flatten_metrics(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = serialize(self)
        return {**data.pop("metrics"), **data}


def evaluate_level(
    test: "pd.DataFrame",
    level: Level,
    rules: DecisionRules,
    config: EvaluationConfig,
    seed: int,
) -> LevelResult:
    """Evaluate one level of the test set.

    Args:
        test: Valid predictions, one row per image.
        level: The level.
        rules: Fitted on validation.
        config: How to evaluate.
        seed: Seed of the bootstrap.

    Raises:
        RecordError: The level has one class only, or too few patients for an interval.
        ModelError: A metric returned a value outside its range.
    """
    table = at_level(test, level, rules.aggregation)
    labels, scores = table["label"].to_numpy(), table["probability"].to_numpy()
    level_rules = rules.at(level)
    calibrated = level_rules.calibration.apply(scores)
    settings = config.metric_settings(level_rules.calibration.method)
    rates: dict[str, WeightedMetric] = {}
    for point in level_rules.operating_points:
        rates[f"sensitivity {point.name}"] = sensitivity_at(point.threshold)
        rates[f"specificity {point.name}"] = specificity_at(point.threshold)
    values, rate_intervals = _metric_values(table, scores, False, rates, settings, config, seed)
    calibrated_values, _ = _metric_values(table, calibrated, True, {}, settings, config, seed)
    values |= calibrated_values
    malignant, benign = class_patients(table)
    return LevelResult(
        level=level,
        n=len(table),
        n_malignant=int(labels.sum()),
        n_patients=int(table["patient_key"].nunique()),
        metrics={metric.name: values[metric.name] for metric in metrics()},
        roc=roc_curve(labels, scores),
        precision_recall=precision_recall_curve(labels, scores),
        reliability=reliability_curve(labels, scores),
        reliability_calibrated=reliability_curve(labels, calibrated),
        operating_points=tuple(
            PointResult(
                name=point.name,
                threshold=point.threshold,
                sensitivity=widen_extreme(rate_intervals[f"sensitivity {point.name}"], malignant),
                specificity=widen_extreme(rate_intervals[f"specificity {point.name}"], benign),
                counts=counts_at(labels, scores, point.threshold),
                validation_sensitivity=point.sensitivity,
                validation_specificity=point.specificity,
            )
            for point in level_rules.operating_points
        ),
        warning=small_set_warning(table, config.small_group),
    )


def scalar(value: MetricValue) -> float | None:
    """Return the value of a metric without its interval."""
    return value if isinstance(value, float) or value is None else value.value


def _metric_values(
    table: "pd.DataFrame",
    scores: npt.NDArray[np.float64],
    calibrated: bool,
    rates: Mapping[str, WeightedMetric],
    settings: MetricSettings,
    config: EvaluationConfig,
    seed: int,
) -> tuple[dict[str, MetricValue], dict[str, Interval]]:
    """The metrics of (un)calibrated scores, and the intervals of further rates.

    All intervals come from the same draws of patients.
    """
    labels, groups = table["label"].to_numpy(), table["patient_key"].to_numpy()
    chosen = [metric for metric in metrics() if metric.calibrated == calibrated]
    weighted = {
        metric.name: form
        for metric in chosen
        if metric.bootstrap and (form := metric.weighted_metric(settings)) is not None
    }
    bootstrapped = intervals(
        labels,
        scores,
        groups,
        {**weighted, **rates},
        config.bootstrap_replicates,
        seed,
        # Without an AUC the level has no result; other metrics may be undefined on it.
        optional=weighted.keys() - {"auc"},
    )
    patients = class_patients(table)
    values: dict[str, MetricValue] = {}
    for metric in chosen:
        value: MetricValue = bootstrapped.get(metric.name)
        if isinstance(value, Interval) and metric.independent is not None:
            value = widen_extreme(value, metric.independent(*patients))
        if metric.name not in weighted:
            value = _single_value(metric, labels, scores, groups, settings)
        values[metric.name] = _within_bounds(metric, value)
    return values, {name: bootstrapped[name] for name in rates}


def _single_value(
    metric: Metric,
    labels: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float64],
    groups: npt.NDArray[np.str_],
    settings: MetricSettings,
) -> MetricValue:
    """A metric without a bootstrap; None where it is undefined."""
    weighted = metric.weighted_metric(settings)
    try:
        if metric.estimate is not None:
            return metric.estimate(labels, scores, groups)
        return None if weighted is None else float(weighted(unweighted(labels, scores))[0])
    except RecordError:
        return None


def _within_bounds(metric: Metric, value: MetricValue) -> MetricValue:
    number = scalar(value)
    if number is None or math.isnan(number):
        return None
    low, high = metric.bounds
    if not low - _ROUNDING <= number <= high + _ROUNDING:
        raise ModelError(
            f"The metric {metric.name} is outside its range",
            expected=f"{low:g} to {high:g}",
            received=f"{number:g}",
        )
    return value
