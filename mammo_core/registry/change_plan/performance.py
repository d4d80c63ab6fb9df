"""Changes of metrics and subgroups, on the test images that both models scored."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mammo_core.errors import MammoError, RecordError
from mammo_core.evaluation.aggregate import Aggregation, Unit, at_level, cc_and_mlo_views
from mammo_core.evaluation.predictions import class_patients
from mammo_core.metrics import metrics
from mammo_core.metrics.bootstrap import metric_difference
from mammo_core.metrics.metric import Metric
from mammo_core.metrics.settings import MetricSettings
from mammo_core.metrics.weighted import WeightedMetric, unweighted
from mammo_core.registry.change_plan.changes import Change, Part
from mammo_core.registry.change_plan.plan import ChangePlan, MetricRule, SubgroupRule

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Compared:
    """The predictions of two models on the same images of patients that neither has seen.

    Attributes:
        challenger: Columns as in `evaluation.evaluate`, and those that subgroups are made by.
        champion: The same images in the same order; None: there is nothing to compare with, and
            only floors are judged.
        settings: What metrics depend on.
        replicates: Replicates of intervals.
        seed: Seed of the draws.
        unit: What metrics are of: images, or breasts if one of the models sees both views.
        aggregation: How images of the challenger are aggregated to breasts.
        champion_aggregation: How those of the champion are.
    """

    challenger: "pd.DataFrame"
    champion: "pd.DataFrame | None"
    settings: MetricSettings
    replicates: int
    seed: int
    unit: Unit = "image"
    aggregation: Aggregation | None = None
    champion_aggregation: Aggregation | None = None


@dataclass(frozen=True)
class _Limit:
    """A metric of a group of images, and what the plan demands of it."""

    part: Part
    name: str
    function: WeightedMetric
    higher_is_better: bool
    floor: float | None
    margin: float | None


def metric_changes(plan: ChangePlan, compared: Compared) -> Iterator[Change]:
    """Yield what the plan demands of metrics, met or not.

    Args:
        plan: The plan.
        compared: The predictions of both models.

    Raises:
        RecordError: A rule names a metric that there is not, or that takes calibrated
            probabilities: two models are calibrated differently.
    """
    first, second = compared.challenger, compared.champion
    if compared.unit == "breast":
        first = at_level(cc_and_mlo_views(first), "breast", compared.aggregation)
        if second is not None:
            second = at_level(cc_and_mlo_views(second), "breast", compared.champion_aggregation)
    for rule in plan.metrics:
        metric, function = _metric_of(rule, compared.settings)
        limit = _Limit(
            "metrics",
            f"{rule.metric} per {compared.unit}",
            function,
            metric.higher_is_better,
            rule.floor,
            rule.margin,
        )
        yield from _judged(limit, first, second, compared, plan)


def subgroup_changes(plan: ChangePlan, compared: Compared) -> Iterator[Change]:
    """Yield what the plan demands of the AUC of subgroups, per image, met or not.

    Args:
        plan: The plan.
        compared: The predictions of both models.
    """
    from mammo_core.metrics import weighted_auc

    for rule in plan.subgroups:
        groups = dict(_groups(compared.challenger, rule.by))
        for name in rule.groups or sorted(groups):
            rows = groups.get(name)
            title = f"{rule.by} {name}"
            if rows is None:
                yield _without_group(rule, title)
                continue
            first = compared.challenger[rows]
            malignant, benign = class_patients(first)
            if min(malignant, benign) < rule.least_patients:
                yield _too_small(rule, title, malignant, benign)
                continue
            second = None if compared.champion is None else compared.champion[rows.to_numpy()]
            limit = _Limit("subgroups", title, weighted_auc, True, rule.floor, rule.margin)
            yield from _judged(limit, first, second, compared, plan)
        if not groups and not rule.groups:
            yield _without_group(rule, rule.by)


def _judged(
    limit: _Limit,
    challenger: "pd.DataFrame",
    champion: "pd.DataFrame | None",
    compared: Compared,
    plan: ChangePlan,
) -> Iterator[Change]:
    labels, scores = challenger["label"].to_numpy(), challenger["probability"].to_numpy()
    try:
        value = float(limit.function(unweighted(labels, scores))[0])
    except MammoError as error:
        yield _cannot(limit, error.problem)
        return
    sign = 1 if limit.higher_is_better else -1
    if limit.floor is not None:
        allowed = sign * value >= sign * limit.floor
        rule = f"{'at least' if sign > 0 else 'at most'} {limit.floor:g}"
        yield _change(limit, "", f"{value:.4f}", allowed, rule)
    if limit.margin is None or champion is None:
        return
    reference = champion["probability"].to_numpy()
    try:
        before = float(limit.function(unweighted(labels, reference))[0])
        difference = metric_difference(
            labels,
            scores,
            reference,
            challenger["patient_key"].to_numpy(),
            limit.function,
            compared.replicates,
            compared.seed,
        )
    except MammoError as error:
        yield _cannot(limit, error.problem)
        return
    # The end of the interval that is worse.
    worst = difference.low if sign > 0 else -difference.high
    judged = worst if plan.judged_by == "interval" else sign * difference.value
    allowed = judged > -limit.margin or judged == 0
    what = "the worse end of the interval" if plan.judged_by == "interval" else "the difference"
    rule = f"{what} is {judged:+.4f} (worse is negative), the margin {limit.margin:g}"
    yield _change(limit, f"{before:.4f}", f"{value:.4f}", allowed, rule)


def _metric_of(rule: MetricRule, settings: MetricSettings) -> tuple[Metric, WeightedMetric]:
    usable = {
        metric.name: metric
        for metric in metrics()
        if not metric.calibrated and metric.weighted_metric(settings) is not None
    }
    metric = usable.get(rule.metric)
    function = metric.weighted_metric(settings) if metric is not None else None
    if metric is None or function is None:
        raise RecordError(
            f"The change plan has a rule about the metric {rule.metric!r}, which cannot be judged",
            expected=f"one of {', '.join(sorted(usable))}",
            received=rule.metric,
        )
    return metric, function


def _groups(images: "pd.DataFrame", by: str) -> "Iterator[tuple[str, pd.Series]]":
    """Yield each group of images with a mask of its rows; an image may be in several."""
    if by not in images.columns:
        return
    values = images[by].map(_name_of)
    if by == "lesion_types":
        names = sorted({name for text in values for name in text.split("+")})
        for name in names:
            yield name, values.map(lambda text, name=name: name in text.split("+")).astype(bool)
        return
    for name in sorted(values.unique()):
        yield str(name), values == name


def _name_of(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "unknown" if value is None or value != value or value == "" else str(value)


def _without_group(rule: SubgroupRule, title: str) -> Change:
    return Change(
        part="subgroups",
        name=title,
        before="",
        after="no test image that both scored",
        allowed=rule.too_few == "pass",
        rule=f"too_few is {rule.too_few}",
    )


def _too_small(rule: SubgroupRule, title: str, malignant: int, benign: int) -> Change:
    return Change(
        part="subgroups",
        name=title,
        before="",
        after=f"{malignant} malignant and {benign} benign patients",
        allowed=rule.too_few == "pass",
        rule=f"at least {rule.least_patients} of each to judge it, too_few is {rule.too_few}",
    )


def _cannot(limit: _Limit, problem: str) -> Change:
    return _change(limit, "", "cannot be judged", False, problem)


def _change(limit: _Limit, before: str, after: str, allowed: bool, rule: str) -> Change:
    return Change(
        part=limit.part, name=limit.name, before=before, after=after, allowed=allowed, rule=rule
    )
