"""Screening terms: what sensitivity and specificity mean at a stated prevalence.

A research set has far more cancers than screening. Sensitivity and specificity are measured on
it and carried over to a prevalence; its own uncertainty is carried through where it is given as
counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.metrics.bootstrap import Interval, patient_draws, percentile_interval
from mammo_core.metrics.checks import require_binary
from mammo_core.metrics.curves import roc_points
from mammo_core.metrics.weighted import ratio
from mammo_core.seeds import generator

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Prevalence:
    """How many exams have a cancer.

    Attributes:
        value: Share of the exams, (0, 1).
        exams: Number of exams in which it was counted; None: it is taken as exact.
    """

    value: float
    exams: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.value < 1 or (self.exams is not None and self.exams < 1):
            raise RecordError(
                "Not a prevalence",
                expected="a share between 0 and 1, counted in at least one exam",
                received=f"{self.value:g} of {self.exams} exams",
            )

    def draw(self, count: int, seed: int) -> Array:
        """Draw prevalences `(count,) float64` from what the counts leave open (Jeffreys)."""
        if self.exams is None:
            return np.full(count, self.value)
        cases = self.value * self.exams
        random = generator(seed, "prevalence")
        return np.asarray(random.beta(cases + 0.5, self.exams - cases + 0.5, size=count))


@dataclass(frozen=True)
class ScreeningRates:
    """What a threshold does in screening. Intervals are 95 %, by patient and by prevalence.

    Attributes:
        threshold: Flagged when the score is >= threshold.
        sensitivity: Share of the exams with cancer that are flagged.
        specificity: Share of the exams without cancer that are not.
        recall_rate: Share of all exams that are flagged.
        ppv: Share of the flagged exams that have a cancer; None if none is flagged.
        npv: Share of the other exams that have none; None if all are flagged.
        detected: Cancers detected per 1,000 exams.
        missed: Cancers missed per 1,000 exams.
        false_alarms: Exams without cancer that are flagged, per 1,000 exams.
    """

    threshold: float
    sensitivity: Interval
    specificity: Interval
    recall_rate: Interval
    ppv: Interval | None
    npv: Interval | None
    detected: Interval
    missed: Interval
    false_alarms: Interval


def screening_rates(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    groups: npt.ArrayLike,
    threshold: float,
    prevalence: Prevalence,
    replicates: int = 2000,
    seed: int = 0,
) -> ScreeningRates:
    """Return what a threshold does at a prevalence.

    Resampling gives a sensitivity or specificity of exactly 0 or 1 no width. It is drawn instead
    from what so many patients leave open (Jeffreys), and with it what follows from it.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers.
        groups: `(n,)` patient keys.
        threshold: Flagged when the score is >= threshold; chosen on other patients.
        prevalence: Share of exams with a cancer where it is to be used.
        replicates: Bootstrap replicates.
        seed: Seed of the draws.

    Raises:
        RecordError: Lengths differ, a class is missing, or almost every replicate lacks one.
        ModelError: A score is not finite.
    """
    truth, values = require_binary(labels, scores)
    called = values >= threshold
    patient_of, draws = patient_draws(len(truth), groups, replicates, seed)

    def right(weights: Array) -> list[Array]:
        """Sensitivity and specificity of each replicate."""
        return [
            ratio(weights @ (decided & (truth == label)), weights @ (truth == label))
            for label, decided in ((1, called), (0, ~called))
        ]

    observed = right(np.ones((1, len(truth))))
    value = _at_prevalence(observed[0], observed[1], np.array([prevalence.value]))
    parts = [right(times[:, patient_of]) for times in draws]
    resampled = [np.concatenate([part[at] for part in parts]) for at in (0, 1)]
    for at, label in enumerate((1, 0)):
        if observed[at][0] in (0, 1):
            patients = len(np.unique(patient_of[truth == label]))
            resampled[at] = _left_open(float(observed[at][0]), patients, replicates, seed, label)
    shares = prevalence.draw(replicates, seed)
    drawn = _at_prevalence(resampled[0], resampled[1], shares)

    def of(name: str) -> Interval:
        interval = percentile_interval(float(value[name][0]), drawn[name])
        low, high = min(interval.low, interval.value), max(interval.high, interval.value)
        return Interval(interval.value, low, high, interval.replicates)

    def or_none(name: str) -> Interval | None:
        return of(name) if np.isfinite(value[name][0]) else None

    return ScreeningRates(
        threshold=float(threshold),
        sensitivity=of("sensitivity"),
        specificity=of("specificity"),
        recall_rate=of("recall_rate"),
        ppv=or_none("ppv"),
        npv=or_none("npv"),
        detected=of("detected"),
        missed=of("missed"),
        false_alarms=of("false_alarms"),
    )


def threshold_by_flagged(
    labels: npt.ArrayLike, scores: npt.ArrayLike, share: float, prevalence: Prevalence
) -> float:
    """Return the lowest threshold that flags no more than a share of all exams.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers.
        share: Share of the exams of screening that may be flagged, [0, 1].
        prevalence: Share of exams with a cancer there.

    Raises:
        RecordError: Lengths differ or a class is missing.
        ModelError: A score is not finite.
    """
    false_rate, true_rate, thresholds = roc_points(*require_binary(labels, scores))
    flagged = prevalence.value * true_rate + (1 - prevalence.value) * false_rate
    return float(thresholds[np.flatnonzero(flagged <= share + 1e-12)[-1]])


def net_benefit(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    thresholds: Sequence[float],
    prevalence: Prevalence,
) -> tuple[Array, Array]:
    """Return the decision curve (Vickers & Elkin 2006, Medical Decision Making 26:565).

    Args:
        labels: `(n,)`, 0 or 1, both present.
        probabilities: `(n,)`, (0, 1), calibrated for the share of malignant records here; they
            are moved to the prevalence by the odds.
        thresholds: Probabilities of cancer from which one would recall, (0, 1).
        prevalence: Share of exams with a cancer.

    Returns:
        Net benefit at each threshold, in cancers detected per exam, `(t,) float64`: of recalling
        by the probability, and of recalling everyone. Recalling nobody has 0.

    Raises:
        RecordError: Lengths differ or a class is missing.
        ModelError: A probability is not finite.
    """
    truth, values = require_binary(labels, probabilities)
    here = truth.mean()
    odds = np.clip(values, 1e-12, 1 - 1e-12) / (1 - np.clip(values, 1e-12, 1 - 1e-12))
    odds *= prevalence.value / (1 - prevalence.value) * (1 - here) / here
    moved = odds / (1 + odds)
    limits = np.asarray(thresholds, dtype=np.float64)
    called = moved >= limits[:, np.newaxis]
    sensitivity = called[:, truth == 1].mean(axis=1)
    false_rate = called[:, truth == 0].mean(axis=1)
    cost = limits / (1 - limits)
    with_model = prevalence.value * sensitivity - (1 - prevalence.value) * false_rate * cost
    everyone = prevalence.value - (1 - prevalence.value) * cost
    return with_model, everyone


def _left_open(share: float, patients: int, count: int, seed: int, label: int) -> Array:
    """Draw shares `(count,) float64` from what so many patients that agree leave open."""
    random = generator(seed, "left-open", label)
    alike = share * patients
    return np.asarray(random.beta(alike + 0.5, patients - alike + 0.5, size=count))


def _at_prevalence(sensitivity: Array, specificity: Array, prevalence: Array) -> dict[str, Array]:
    detected = sensitivity * prevalence
    false_alarms = (1 - specificity) * (1 - prevalence)
    quiet = specificity * (1 - prevalence)
    missed = (1 - sensitivity) * prevalence
    return {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "recall_rate": detected + false_alarms,
        "ppv": ratio(detected, detected + false_alarms),
        "npv": ratio(quiet, quiet + missed),
        "detected": 1000 * detected,
        "missed": 1000 * missed,
        "false_alarms": 1000 * false_alarms,
    }
