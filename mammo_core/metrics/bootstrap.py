"""Intervals by resampling patients.

The images of one patient are not independent, so patients are drawn, with all their images
(NYU metarepository convention: 2,000 replicates, percentiles 2.5 and 97.5).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.metrics.checks import Labels, Scores, binary
from mammo_core.metrics.measures import Measure, Weighted, area
from mammo_core.metrics.ranking import auc
from mammo_core.seeds import generator

_CHUNK = 2_000_000
"""Weights held at once (16 MB as float64)."""


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval.

    Attributes:
        value: Computed on the whole set.
        low: Percentile 2.5 of the replicates.
        high: Percentile 97.5 of the replicates.
        replicates: Replicates the percentiles come from (those that held both classes).
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
    label_array, score_array = binary(labels, scores)
    (drawn,) = _bootstrap(label_array, [score_array], groups, {"auc": area}, replicates, seed)
    return _interval(auc(label_array, score_array), drawn["auc"])


def auc_difference(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    reference: npt.ArrayLike,
    groups: npt.ArrayLike,
    replicates: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return AUC(scores) - AUC(reference) on the same records, paired by patient.

    Both are computed on the same draws, so what makes a draw easy for both cancels.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers of the one model.
        reference: `(n,)` finite numbers of the other, same records in the same order.
        groups: `(n,)` patient keys.
        replicates: Bootstrap replicates.
        seed: Seed of the draws.

    Raises:
        RecordError: Lengths differ, one class is missing, or almost every replicate lacks one.
        ModelError: A score is not finite.
    """
    label_array, score_array = binary(labels, scores)
    _, reference_array = binary(labels, reference)
    first, second = _bootstrap(
        label_array, [score_array, reference_array], groups, {"auc": area}, replicates, seed
    )
    value = auc(label_array, score_array) - auc(label_array, reference_array)
    return _interval(value, first["auc"] - second["auc"])


def mean_auc_interval(
    labels: npt.ArrayLike,
    runs: Sequence[npt.ArrayLike],
    references: Sequence[npt.ArrayLike],
    groups: npt.ArrayLike,
    replicates: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the mean AUC of several runs, less that of reference runs, paired by patient.

    The runs of an experiment differ by their seed; their AUCs are averaged within each
    draw of patients, so the interval tells of the patients, not of the seeds.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        runs: Scores `(n,)` of each run, same records in the same order.
        references: Likewise of the runs to compare with; empty: the mean itself.
        groups: `(n,)` patient keys.
        replicates: Bootstrap replicates.
        seed: Seed of the draws.

    Raises:
        RecordError: Lengths differ, one class is missing, or almost every replicate lacks one.
        ModelError: A score is not finite.
    """
    checked = [binary(labels, scores) for scores in (*runs, *references)]
    label_array, sets = checked[0][0], [scores for _, scores in checked]
    drawn = [
        found["auc"]
        for found in _bootstrap(label_array, sets, groups, {"auc": area}, replicates, seed)
    ]
    values = [np.array([auc(label_array, scores)]) for scores in sets]
    return _interval(float(_less(values, len(runs))[0]), _less(drawn, len(runs)))


def _less(found: list[npt.NDArray[np.float64]], runs: int) -> npt.NDArray[np.float64]:
    mean: npt.NDArray[np.float64] = np.mean(found[:runs], axis=0)
    return mean - np.mean(found[runs:], axis=0) if found[runs:] else mean


def intervals(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    groups: npt.ArrayLike,
    measures: Mapping[str, Measure],
    replicates: int = 2000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return several measures with 95 % intervals, all of the same draws of patients.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers, higher = more likely malignant.
        groups: `(n,)` patient keys.
        measures: By name, from `mammo_core.metrics.measures`.
        replicates: Bootstrap replicates.
        seed: Seed of the draws. The order of the records changes nothing.

    Raises:
        RecordError: Lengths differ, one class is missing, or almost every replicate lacks one.
        ModelError: A score is not finite.
    """
    label_array, score_array = binary(labels, scores)
    whole = Weighted(label_array, score_array, np.ones((1, len(label_array))))
    (drawn,) = _bootstrap(label_array, [score_array], groups, measures, replicates, seed)
    return {
        name: _interval(float(measure(whole)[0]), drawn[name]) for name, measure in measures.items()
    }


def share_interval(
    right: npt.ArrayLike, groups: npt.ArrayLike, replicates: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of a share (an accuracy), bootstrapped by patient.

    Args:
        right: `(n,)` bool.
        groups: `(n,)` patient keys.
        replicates: Bootstrap replicates.
        seed: Seed of the draws.

    Returns:
        Its low and its high end.

    Raises:
        RecordError: Lengths differ, or there is nothing.
    """
    hits = np.asarray(right, dtype=np.float64)
    patient_of, draws = _draws(len(hits), groups, replicates, seed)
    patients = patient_of.max() + 1
    per_patient = np.bincount(patient_of, hits, minlength=patients)
    records = np.bincount(patient_of, minlength=patients)
    shares = [times @ per_patient / (times @ records) for times in draws]
    low, high = np.percentile(np.concatenate(shares), [2.5, 97.5])
    return float(low), float(high)


def _draws(
    records: int, groups: npt.ArrayLike, replicates: int, seed: int
) -> tuple[npt.NDArray[np.int64], Iterator[npt.NDArray[np.float64]]]:
    """The patient of every record `(n,)`, and chunks of how often each patient is drawn."""
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
    measures: Mapping[str, Measure],
    replicates: int,
    seed: int,
) -> list[dict[str, npt.NDArray[np.float64]]]:
    """For every set of scores the replicates of every measure, all on the same draws."""
    patient_of, draws = _draws(len(labels), groups, replicates, seed)
    found: list[dict[str, list[npt.NDArray[np.float64]]]] = [
        {name: [] for name in measures} for _ in score_sets
    ]
    for times in draws:
        weights = times[:, patient_of]
        for parts, scores in zip(found, score_sets, strict=True):
            drawn = Weighted(labels, scores, weights)
            for name, measure in measures.items():
                parts[name].append(measure(drawn))
    return [{name: np.concatenate(some) for name, some in parts.items()} for parts in found]


def _interval(value: float, drawn: npt.NDArray[np.float64]) -> Interval:
    usable = drawn[np.isfinite(drawn)]
    # One patient of each class is drawn together in half of the replicates; one among three or
    # more in at least 63 %.
    if len(usable) < 0.6 * len(drawn):
        raise RecordError(
            "Too few patients for an interval",
            expected="both classes in at least 60 % of the bootstrap replicates",
            received=f"{len(usable)} of {len(drawn)} replicates",
            hint="Take more patients of both classes into this split.",
        )
    low, high = np.percentile(usable, [2.5, 97.5])
    return Interval(float(value), float(low), float(high), len(usable))
