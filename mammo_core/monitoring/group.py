"""The images of one group, a vendor and a kind of image: compared with its first exams."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from typing import Final

import numpy as np
import numpy.typing as npt

from mammo_core.imaging.plausibility import Distribution
from mammo_core.metrics.drift_alarm import DriftAlarm
from mammo_core.metrics.probability_alarms import ShareAlarm
from mammo_core.monitoring.alarms import Alarm
from mammo_core.monitoring.settings import GRAY_MEASURES, MEASURES, WatchSettings
from mammo_core.scoring.events import ScoreEvent

#: Weeks that are remembered for the plots.
_WEEKS: Final = 160
#: Latest values, for the text of an alarm.
_RECENT: Final = 50

Floats = npt.NDArray[np.float64]


@dataclass
class Week:
    """Sums of a week.

    Attributes:
        exams: Exams.
        sums: Measure → sum, and sum of squares, of its values.
        evidence: Measure → logarithm (base 10) of the evidence for a change at its end.
    """

    exams: int = 0
    sums: dict[str, tuple[float, float]] = field(default_factory=dict)
    evidence: dict[str, float] = field(default_factory=dict)

    def mean_and_deviation(self, measure: str) -> tuple[float, float]:
        """Return mean and standard deviation of a measure."""
        total, squares = self.sums.get(measure, (0.0, 0.0))
        mean = total / max(self.exams, 1)
        return mean, math.sqrt(max(squares / max(self.exams, 1) - mean**2, 0.0))


@dataclass
class Group:
    """What is known of a group; its size does not grow with the number of images.

    Attributes:
        name: Vendor and kind of image.
        images: Images so far.
        exams: Exams so far: one image stands for each.
        positive: Images with a positive decision.
        decided: Images with a decision.
        baseline: Measure → values of the first exams; empty when they are complete.
        reference: Measure → mean and standard deviation over the first exams.
        drift: Measure → alarm about a change since then.
        training: Measure → alarm about images outside the training images.
        outside: Measure → exams outside the middle 98 % of the training images.
        recent: Measure → latest values.
        weeks: Week, such as `2026-W31`, → its sums.
    """

    name: str
    images: int = 0
    exams: int = 0
    positive: int = 0
    decided: int = 0
    baseline: dict[str, list[float]] = field(default_factory=dict)
    reference: dict[str, tuple[float, float]] = field(default_factory=dict)
    drift: dict[str, DriftAlarm] = field(default_factory=dict)
    training: dict[str, ShareAlarm] = field(default_factory=dict)
    outside: dict[str, int] = field(default_factory=dict)
    recent: dict[str, list[float]] = field(default_factory=dict)
    weeks: dict[str, Week] = field(default_factory=dict)

    def add(
        self,
        events: Sequence[ScoreEvent],
        settings: WatchSettings,
        trained: Mapping[str, Distribution],
        random: np.random.Generator,
    ) -> list[Alarm]:
        """Look at images that each stand for an exam, in their order.

        Args:
            events: The images.
            settings: The settings of the watch.
            trained: Measure → distribution over the training images; empty if unknown.
            random: Breaks ties.

        Returns:
            The alarms that they raise.
        """
        alarms = []
        for week, part in groupby(events, lambda event: _week_of(event.at)):
            some = list(part)
            values = {name: _values(some, name) for name in MEASURES}
            alarms += self._compare_with_training(some, values, settings, trained)
            alarms += self._compare_with_baseline(some, values, settings, random)
            self.exams += len(some)
            self._sum_up(week, len(some), values)
        return alarms

    def _compare_with_training(
        self,
        events: Sequence[ScoreEvent],
        values: Mapping[str, Floats],
        settings: WatchSettings,
        trained: Mapping[str, Distribution],
    ) -> list[Alarm]:
        alarms = []
        for name in GRAY_MEASURES:
            if name not in trained:
                continue
            low, high = trained[name].q01, trained[name].q99
            outside = (values[name] < low) | (values[name] > high)
            self.outside[name] = self.outside.get(name, 0) + int(outside.sum())
            alarm = self.training.setdefault(
                name,
                ShareAlarm.watch(
                    settings.outside, rate=settings.stream_rate, horizon=settings.horizon
                ),
            )
            before = alarm.wealth.count if alarm.wealth.alarm_at is None else None
            alarm.add(outside)
            if before is not None and alarm.wealth.alarm_at is not None:
                share = self.outside[name] / (self.exams + len(events))
                alarms.append(
                    Alarm(
                        kind="training",
                        group=self.name,
                        measure=name,
                        at=events[alarm.wealth.alarm_at - before - 1].at,
                        exams=alarm.wealth.alarm_at,
                        before=f"2 % of the training images outside {low:.3g} to {high:.3g}",
                        after=f"{100 * share:.0f} %",
                    )
                )
        return alarms

    def _compare_with_baseline(
        self,
        events: Sequence[ScoreEvent],
        values: Mapping[str, Floats],
        settings: WatchSettings,
        random: np.random.Generator,
    ) -> list[Alarm]:
        left = max(settings.baseline - self.exams, 0)
        if left:
            for name in MEASURES:
                self.baseline.setdefault(name, []).extend(values[name][:left].tolist())
            if len(events) < left:
                return []
            self._begin(settings)
        alarms: list[Alarm] = []
        if len(events) == left:
            return alarms
        for name in MEASURES:
            later, alarm = values[name][left:], self.drift[name]
            before = alarm.count if alarm.alarm_at is None else None
            alarm.add(later.tolist(), random)
            if before is not None and alarm.alarm_at is not None:
                at = alarm.alarm_at - before
                mean, deviation = self.reference[name]
                recent = [*self.recent.get(name, ()), *values[name][: left + at].tolist()][
                    -_RECENT:
                ]
                alarms.append(
                    Alarm(
                        kind="change",
                        group=self.name,
                        measure=name,
                        at=events[left + at - 1].at,
                        exams=alarm.alarm_at,
                        before=f"{mean:.3g} ± {deviation:.2g}",
                        after=f"{np.mean(recent):.3g} ± {np.std(recent):.2g}",
                    )
                )
        return alarms

    def _begin(self, settings: WatchSettings) -> None:
        """Take the first exams for the reference."""
        for name, values in self.baseline.items():
            self.reference[name] = (float(np.mean(values)), float(np.std(values)))
            self.drift[name] = DriftAlarm.watch(
                values, rate=settings.stream_rate, horizon=settings.horizon
            )
        self.baseline = {}

    def _sum_up(self, week: str, exams: int, values: Mapping[str, Floats]) -> None:
        entry = self.weeks.setdefault(week, Week())
        entry.exams += exams
        for name, numbers in values.items():
            total, squares = entry.sums.get(name, (0.0, 0.0))
            added = float(numbers.sum()), float(np.square(numbers).sum())
            entry.sums[name] = (total + added[0], squares + added[1])
            self.recent[name] = [*self.recent.get(name, ()), *numbers.tolist()][-_RECENT:]
            if name in self.drift:
                entry.evidence[name] = math.log10(max(self.drift[name].wealth.total, 1e-9))
        for name in sorted(self.weeks)[:-_WEEKS]:
            del self.weeks[name]


def _values(events: Sequence[ScoreEvent], name: str) -> Floats:
    if name == "probability":
        numbers = [event.probability for event in events]
    elif name == "warned":
        numbers = [float(bool(event.warnings)) for event in events]
    else:
        numbers = [event.gray.get(name, 0.0) for event in events]
    return np.asarray(numbers, np.float64)


def _week_of(at: str) -> str:
    year, week, _ = date.fromisoformat(at[:10]).isocalendar()
    return f"{year}-W{week:02}"
