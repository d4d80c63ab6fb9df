"""The registry of metrics: each is one module that registers itself.

The modules in `binary/` are found by discovery. A metric of another package registers itself
when its module is imported; the entry point group `mammo.metrics` names such modules. A
registered metric is computed for images, breasts and patients, and appears in the facts of
the evaluation, the report and the model card.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mammo_core.discovery import import_entry_points, import_modules
from mammo_core.errors import RecipeError
from mammo_core.metrics.checks import Labels, Scores
from mammo_core.metrics.delong import DeLongInterval
from mammo_core.metrics.settings import MetricSettings
from mammo_core.metrics.weighted import WeightedMetric, resampled

_PACKAGE = "mammo_core.metrics.binary"
_ENTRY_POINTS = "mammo.metrics"

#: Other keys beside which the values of metrics are stored.
_RESERVED = {
    *("level", "n", "n_malignant", "n_patients", "metrics", "operating_points", "warning"),
    *("roc", "precision_recall", "reliability", "reliability_calibrated"),
    *("auc_ci95", "breast_auc", "patient_auc", "patch_accuracy", "sensitivity", "specificity"),
    *("n_test_images", "n_test_views", "n_test_patients", "n_test_patches", "details"),
}


@dataclass(frozen=True)
class Metric:
    """A metric of a binary classifier.

    It has exactly one of `function`, `weighted` and `estimate`.

    Attributes:
        name: Key in the facts of an evaluation and on the model card.
        label: Name for people.
        description: What it means, in a sentence or two, for the glossary of the report.
        function: Returns the value for labels `(n,) int64`, 0 or 1, both present, and
            probabilities `(n,) float64, [0, 1]`. The interval is bootstrapped by patient: it
            is called once per replicate.
        weighted: Returns the same for all replicates at once, which is faster, given the
            settings of the evaluation.
        estimate: Returns the value with an interval of its own, such as DeLong's, for labels,
            probabilities and patient keys `(n,)`.
        row: Returns the label in tables, given the settings; `label` by default.
        calibrated: Whether it takes calibrated probabilities.
        bounds: Smallest and largest possible value.
        higher_is_better: Whether a higher value is better.
        decimals: Decimals in reports.
        bootstrap: Whether it has an interval by bootstrap; `estimate` brings its own.
        independent: Returns how many patients a value of exactly 0 or 1 rests on, given the
            malignant and the benign ones: its interval is then Wilson's. None: it is left.
        in_summary: Whether it is among the scalars that runs are compared by.
        order: Position in tables, low first; then by name.
    """

    name: str
    label: str
    description: str
    function: Callable[[Labels, Scores], float] | None = None
    weighted: Callable[[MetricSettings], WeightedMetric] | None = None
    estimate: Callable[[Labels, Scores, npt.NDArray[np.str_]], DeLongInterval] | None = None
    row: Callable[[MetricSettings], str] | None = None
    calibrated: bool = False
    bounds: tuple[float, float] = (0.0, 1.0)
    higher_is_better: bool = True
    decimals: int = 3
    bootstrap: bool = True
    independent: Callable[[int, int], int] | None = None
    in_summary: bool = True
    order: int = 1000

    def row_label(self, settings: MetricSettings) -> str:
        """Return the label in tables."""
        return self.label if self.row is None else self.row(settings)

    def weighted_metric(self, settings: MetricSettings) -> WeightedMetric | None:
        """Return the form that a bootstrap repeats; None for a metric with its own interval."""
        if self.weighted is not None:
            return self.weighted(settings)
        return None if self.function is None else resampled(self.function)


_METRICS: dict[str, Metric] = {}


def register_metric(metric: Metric) -> Metric:
    """Add a metric to the registry.

    Args:
        metric: The metric. Registering the same one again has no effect.

    Returns:
        The same metric.

    Raises:
        RecipeError: The name is taken, reserved or not an identifier; or the metric does not
            have exactly one of `function`, `weighted` and `estimate`.
    """
    taken = _METRICS.get(metric.name)
    if taken is not None and taken != metric:
        raise _registration_error(metric, "a name that is not taken", repr(metric.name))
    if not re.fullmatch(r"[a-z][a-z0-9_]*", metric.name) or metric.name in _RESERVED:
        raise _registration_error(
            metric,
            f"lower-case letters, digits and _, and none of {', '.join(sorted(_RESERVED))}",
            repr(metric.name),
        )
    forms = (metric.function, metric.weighted, metric.estimate)
    if sum(form is not None for form in forms) != 1:
        raise _registration_error(
            metric,
            "exactly one of function, weighted and estimate",
            f"{sum(form is not None for form in forms)} of them",
        )
    _METRICS[metric.name] = metric
    return metric


def metrics() -> tuple[Metric, ...]:
    """Return all metrics, in the order of tables."""
    _discover()
    return tuple(sorted(_METRICS.values(), key=lambda metric: (metric.order, metric.name)))


def metric_names() -> list[str]:
    """Return the names of all metrics, sorted."""
    return sorted(metric.name for metric in metrics())


def _discover() -> None:
    """Import every module in `binary/` and every entry point; each registers itself."""
    import_modules(_PACKAGE)
    import_entry_points(_ENTRY_POINTS)


def _registration_error(metric: Metric, expected: str, received: str) -> RecipeError:
    return RecipeError(
        f"The metric {metric.name!r} cannot be registered", expected=expected, received=received
    )
