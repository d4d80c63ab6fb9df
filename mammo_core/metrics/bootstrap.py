"""Intervals by resampling patients.

The images of one patient are not independent, so patients are drawn with all their images
(convention of the NYU meta-repository: 2,000 replicates, percentiles 2.5 and 97.5).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.metrics.binary.auc import auc, weighted_auc
from mammo_core.metrics.checks import Labels, Scores, require_binary
from mammo_core.metrics.weighted import Weighted, WeightedMetric, unweighted
from mammo_core.seeds import generator

_CHUNK = 2_000_000
"""Weights in memory at once (16 MB as float64)."""

_AUC: Mapping[str, WeightedMetric] = MappingProxyType({"auc": weighted_auc})


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval.

    Attributes:
        value: Computed on the whole set.
        low: Percentile 2.5 of the replicates.
        high: Percentile 97.5 of the replicates.
        replicates: Replicates the percentiles come from (those that contain both classes).
    """

    value: float
    low: float
    high: float
    replicates: int

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})"


def auc_interval(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    groups: npt.ArrayLike,
    replicates: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the AUC with a 95 % interval, bootstrapped by patient.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers, higher = more likely malignant.
        groups: `(n,)` patient keys.
        replicates: Bootstrap replicates.
        seed: Seed of the draws. The order of the records changes nothing.

    Raises:
        RecordError: Lengths differ, one class is missing, or almost every replicate lacks one.
        ModelError: A score is not finite.
    """
    label_array, score_array = require_binary(labels, scores)
    (drawn,) = _bootstrap(label_array, [score_array], groups, _AUC, replicates, seed)
    return percentile_interval(auc(label_array, score_array), drawn["auc"])


def auc_difference(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    reference: npt.ArrayLike,
    groups: npt.ArrayLike,
    replicates: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return AUC(scores) - AUC(reference) on the same records, paired by patient.

    Both are computed on the same draws, so what makes a draw easy for both cancels out.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers of one model.
        reference: `(n,)` finite numbers of the other model, same records in the same order.
        groups: `(n,)` patient keys.
        replicates: Bootstrap replicates.
        seed: Seed of the draws.

    Raises:
        RecordError: Lengths differ, one class is missing, or almost every replicate lacks one.
        ModelError: A score is not finite.
    """
    label_array, score_array = require_binary(labels, scores)
    _, reference_array = require_binary(labels, reference)
    first, second = _bootstrap(
        label_array, [score_array, reference_array], groups, _AUC, replicates, seed
    )
    value = auc(label_array, score_array) - auc(label_array, reference_array)
    return percentile_interval(value, first["auc"] - second["auc"])


def metric_difference(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    reference: npt.ArrayLike,
    groups: npt.ArrayLike,
    metric: WeightedMetric,
    replicates: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return metric(scores) - metric(reference) on the same records, paired by patient.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers of one model.
        reference: `(n,)` finite numbers of the other model, same records in the same order.
        groups: `(n,)` patient keys.
        metric: The metric.
        replicates: Bootstrap replicates.
        seed: Seed of the draws.

    Raises:
        RecordError: As in `auc_difference`.
        ModelError: A score is not finite.
    """
    label_array, score_array = require_binary(labels, scores)
    _, reference_array = require_binary(labels, reference)
    sets = [score_array, reference_array]
    values = [float(metric(unweighted(label_array, each))[0]) for each in sets]
    first, second = _bootstrap(label_array, sets, groups, {"": metric}, replicates, seed)
    return percentile_interval(values[0] - values[1], first[""] - second[""])


def mean_auc_interval(
    labels: npt.ArrayLike,
    runs: Sequence[npt.ArrayLike],
    references: Sequence[npt.ArrayLike],
    groups: npt.ArrayLike,
    replicates: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the mean AUC of several runs, minus that of reference runs, paired by patient.

    The runs of an experiment differ in their seed. Their AUCs are averaged within each draw
    of patients, so the interval covers the variation between patients, not between seeds.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        runs: Scores `(n,)` of each run, same records in the same order.
        references: Likewise for the runs to compare with; empty: the mean itself.
        groups: `(n,)` patient keys.
        replicates: Bootstrap replicates.
        seed: Seed of the draws.

    Raises:
        RecordError: Lengths differ, one class is missing, or almost every replicate lacks one.
        ModelError: A score is not finite.
    """
    pairs = [require_binary(labels, scores) for scores in (*runs, *references)]
    label_array, sets = pairs[0][0], [scores for _, scores in pairs]
    drawn = [
        values["auc"] for values in _bootstrap(label_array, sets, groups, _AUC, replicates, seed)
    ]
    values = [np.array([auc(label_array, scores)]) for scores in sets]
    return percentile_interval(
        float(_difference(values, len(runs))[0]), _difference(drawn, len(runs))
    )


def _difference(aucs: list[npt.NDArray[np.float64]], runs: int) -> npt.NDArray[np.float64]:
    """The mean of the first `runs` arrays minus the mean of the others."""
    mean: npt.NDArray[np.float64] = np.mean(aucs[:runs], axis=0)
    return mean - np.mean(aucs[runs:], axis=0) if aucs[runs:] else mean


def intervals(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    groups: npt.ArrayLike,
    metrics: Mapping[str, WeightedMetric],
    replicates: int = 2000,
    seed: int = 0,
    optional: Collection[str] = (),
) -> dict[str, Interval]:
    """Return several metrics with 95 % intervals, all from the same draws of patients.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers, higher = more likely malignant.
        groups: `(n,)` patient keys.
        metrics: By name.
        replicates: Bootstrap replicates.
        seed: Seed of the draws. The order of the records changes nothing.
        optional: Names of metrics that are left out if they are undefined.

    Raises:
        RecordError: Lengths differ, one class is missing, or almost every replicate lacks one.
        ModelError: A score is not finite.
    """
    label_array, score_array = require_binary(labels, scores)
    records = unweighted(label_array, score_array)
    (drawn,) = _bootstrap(label_array, [score_array], groups, metrics, replicates, seed)
    values: dict[str, Interval] = {}
    for name, metric in metrics.items():
        try:
            values[name] = percentile_interval(float(metric(records)[0]), drawn[name])
        except RecordError:
            if name not in optional:
                raise
    return values


def proportion_interval(
    correct: npt.ArrayLike, groups: npt.ArrayLike, replicates: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of a proportion (such as accuracy), bootstrapped by patient.

    Args:
        correct: `(n,)` bool, what is counted.
        groups: `(n,)` patient keys.
        replicates: Bootstrap replicates.
        seed: Seed of the draws.

    Returns:
        The lower and the upper end.

    Raises:
        RecordError: Lengths differ, or there are no records.
    """
    hits = np.asarray(correct, dtype=np.float64)
    patient_of, draws = patient_draws(len(hits), groups, replicates, seed)
    patients = patient_of.max() + 1
    per_patient = np.bincount(patient_of, hits, minlength=patients)
    records = np.bincount(patient_of, minlength=patients)
    proportions = [times @ per_patient / (times @ records) for times in draws]
    low, high = np.percentile(np.concatenate(proportions), [2.5, 97.5])
    return float(low), float(high)


def patient_draws(
    records: int, groups: npt.ArrayLike, replicates: int, seed: int
) -> tuple[npt.NDArray[np.int64], Iterator[npt.NDArray[np.float64]]]:
    """Draw patients with replacement.

    Args:
        records: Number of records.
        groups: `(n,)` patient key of each record.
        replicates: Bootstrap replicates.
        seed: Seed of the draws.

    Returns:
        The index of the patient of each record `(n,) int64`, and chunks `(r, patients) float64`
        of how often each patient is drawn.

    Raises:
        RecordError: There is no record, or not a patient for each.
    """
    group_array = np.asarray(groups).astype(str)
    if group_array.shape != (records,) or not records or replicates < 1:
        raise RecordError(
            "A bootstrap needs a patient for every record",
            expected=f"{records} patient keys and at least one replicate",
            received=f"patient keys of shape {group_array.shape}, {replicates} replicates",
        )
    # Patients in the order of their keys, so that the order of the records changes nothing.
    patients, patient_of = np.unique(group_array, return_inverse=True)
    random = generator(seed, "bootstrap")
    step = max(1, _CHUNK // records)

    def chunks() -> Iterator[npt.NDArray[np.float64]]:
        for start in range(0, replicates, step):
            count = min(step, replicates - start)
            even = [1 / len(patients)] * len(patients)
            yield random.multinomial(len(patients), even, size=count).astype(np.float64)

    return patient_of, chunks()


def _bootstrap(
    labels: Labels,
    score_sets: list[Scores],
    groups: npt.ArrayLike,
    metrics: Mapping[str, WeightedMetric],
    replicates: int,
    seed: int,
) -> list[dict[str, npt.NDArray[np.float64]]]:
    """For each set of scores the replicates of each metric, all on the same draws."""
    patient_of, draws = patient_draws(len(labels), groups, replicates, seed)
    chunks: list[dict[str, list[npt.NDArray[np.float64]]]] = [
        {name: [] for name in metrics} for _ in score_sets
    ]
    for times in draws:
        weights = times[:, patient_of]
        for values, scores in zip(chunks, score_sets, strict=True):
            records = Weighted(labels, scores, weights)
            for name, metric in metrics.items():
                values[name].append(metric(records))
    return [{name: np.concatenate(parts) for name, parts in values.items()} for values in chunks]


def percentile_interval(value: float, drawn: npt.NDArray[np.float64]) -> Interval:
    """Return a value with the percentiles 2.5 and 97.5 of its replicates.

    Args:
        value: Computed on the whole set.
        drawn: `(r,) float64`, NaN where a replicate has no value.

    Raises:
        RecordError: More than 40 % of the replicates have no value.
    """
    usable = drawn[np.isfinite(drawn)]
    # One patient of each class is drawn together in half of the replicates; one among three or
    # more in at least 63 %.
    if len(usable) < 0.6 * len(drawn):
        raise RecordError(
            "Too few patients for an interval",
            expected="both classes in at least 60 % of the bootstrap replicates",
            received=f"{len(usable)} of {len(drawn)} replicates",
            hint="Put more patients of both classes into this split.",
        )
    low, high = np.percentile(usable, [2.5, 97.5])
    return Interval(float(value), float(low), float(high), len(usable))
