"""Labels that arrive later: whether the scores still tell the classes apart, and are calibrated.

What an exam shows is known weeks or years after its score, and earlier for some than for others.
Labels are therefore looked at in the order in which they arrive, one image of an exam for each
question, so that bets on them are fair.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from mammo_core.errors import SourceError
from mammo_core.metrics.drift_alarm import DriftAlarm
from mammo_core.metrics.probability_alarms import CalibrationAlarm
from mammo_core.monitoring.alarms import Alarm
from mammo_core.monitoring.settings import WatchSettings
from mammo_core.scoring.events import ScoreEvent

By = Literal["image", "exam"]
_LABELS: Final = {"malignant": True, "1": True, "benign": False, "normal": False, "0": False}
_LENGTH: Final = 16  # digits of the digest of what was looked at


@dataclass(frozen=True)
class LabeledScore:
    """A score whose label is known.

    Attributes:
        key: Key of the image, or of the exam.
        exam: Key of the exam.
        at: Time of the score.
        group: Vendor and kind of image.
        probability: [0, 1], uncalibrated; of an exam the highest of its images.
        calibrated: [0, 1]; None if there is none, and of an exam.
        decision: `positive`, `negative` or empty.
        malignant: The label.
    """

    key: str
    exam: str
    at: str
    group: str
    probability: float
    calibrated: float | None
    decision: str
    malignant: bool


def read_labels(uri: str) -> tuple[By, dict[str, bool]]:
    """Read a table of labels.

    Args:
        uri: A CSV file with the columns `label` (malignant, benign, normal, 1 or 0) and `image` or
            `exam`: keys under the site key, as in the tables of `mammo score --keyed-ids`.

    Returns:
        What the keys name, and key → whether it is malignant.

    Raises:
        SourceError: The table has other columns, a label that is none, or a key with two labels.
    """
    from mammo_core.sources.tables.csv_table import read_csv

    table = read_csv(uri)
    by = [name for name in ("image", "exam") if name in table.columns]
    if len(by) != 1 or "label" not in table.columns:
        raise SourceError(
            f"The table of labels {table.name} cannot be used",
            expected="the columns `label` and either `image` or `exam`",
            received=", ".join(table.columns),
        )
    key_at, label_at = table.columns.index(by[0]), table.columns.index("label")
    labels: dict[str, bool] = {}
    for line, cells in table.rows:
        text = cells[label_at].lower() if len(cells) > max(key_at, label_at) else ""
        known = labels.get(cells[key_at]) if text in _LABELS else None
        if text not in _LABELS or not cells[key_at] or known not in (None, _LABELS[text]):
            raise SourceError(
                f"{table.row_name(line)} has no label that can be used",
                expected=f"one of {', '.join(_LABELS)}, the same for each row of the key",
                received="another label for this key" if known is not None else "something else",
            )
        labels[cells[key_at]] = _LABELS[text]
    return "image" if by[0] == "image" else "exam", labels


def join_labels(
    events: Iterable[ScoreEvent], by: By, labels: Mapping[str, bool]
) -> list[LabeledScore]:
    """Return the scores whose labels are known; memory grows with the labels, not the events.

    Args:
        events: All events of the model, in their order; of two of one image the later one counts.
        by: What the keys of the labels name.
        labels: Key → whether it is malignant.

    Returns:
        In the order of the scores' times, then of keys.
    """
    latest: dict[str, LabeledScore] = {}
    for event in events:
        key = event.image if by == "image" else event.exam
        if not key or key not in labels:
            continue
        before = latest.get(key)
        if by == "exam" and before is not None and before.probability >= event.probability:
            continue
        latest[key] = LabeledScore(
            key,
            event.exam or key,
            event.at,
            f"{event.vendor}, {event.image_type}",
            event.probability,
            event.calibrated if by == "image" else None,
            event.decision,
            labels[key],
        )
    return sorted(latest.values(), key=lambda score: (score.at, score.key))


@dataclass
class LabelWatch:
    """What is known of scores whose labels are known.

    Attributes:
        used: Digests of the exams that were looked at.
        first: Class → scores of the first exams.
        drift: Class → alarm about a change of its scores since then.
        calibration: Alarm about the calibration.
    """

    calibration: CalibrationAlarm
    used: set[str] = field(default_factory=set)
    first: dict[str, list[float]] = field(default_factory=dict)
    drift: dict[str, DriftAlarm] = field(default_factory=dict)

    @classmethod
    def start(cls, settings: WatchSettings) -> "LabelWatch":
        """Return a watch before any label."""
        rate, horizon = settings.stream_rate, settings.horizon
        return cls(CalibrationAlarm.watch(rate=rate, horizon=horizon))

    def add(
        self, scores: Sequence[LabeledScore], settings: WatchSettings, random: np.random.Generator
    ) -> list[Alarm]:
        """Look at the exams of a table that were not looked at before.

        Args:
            scores: All scores whose labels are known.
            settings: The settings of the watch.
            random: Breaks ties.

        Returns:
            The alarms that they raise.
        """
        exams: dict[str, list[LabeledScore]] = defaultdict(list)
        for score in scores:
            exams[score.exam].append(score)
        by_class: dict[str, list[LabeledScore]] = {"malignant": [], "benign": []}
        any_image = []
        for exam, members in exams.items():
            digest = _digest(exam)
            if digest in self.used:
                continue
            self.used.add(digest)
            # By their digests: neither the order of files nor the label decides.
            ordered = sorted(members, key=lambda score: _digest(score.key))
            malignant = [score for score in ordered if score.malignant]
            name = "malignant" if malignant else "benign"
            by_class[name].append((malignant or ordered)[0])
            if ordered[0].calibrated is not None:
                any_image.append(ordered[0])
        alarms = self._check_calibration(any_image)
        for name, members in by_class.items():
            alarms += self._compare(name, members, settings, random)
        return alarms

    def _check_calibration(self, scores: Sequence[LabeledScore]) -> list[Alarm]:
        wealth = self.calibration.wealth
        before = wealth.count if wealth.alarm_at is None else None
        stated = [score.calibrated or 0.0 for score in scores]
        malignant = [score.malignant for score in scores]
        self.calibration.add(stated, malignant)
        if before is None or wealth.alarm_at is None:
            return []
        at = wealth.alarm_at - before
        share = f"{100 * np.mean(malignant[:at]):.2g} % of {at} exams"
        return [
            Alarm(
                kind="labels",
                group="labeled",
                measure="calibration",
                at=scores[at - 1].at,
                exams=wealth.alarm_at,
                before=f"{100 * np.mean(stated[:at]):.2g} % stated to be malignant",
                after=f"{share} malignant",
            )
        ]

    def _compare(
        self,
        name: str,
        scores: Sequence[LabeledScore],
        settings: WatchSettings,
        random: np.random.Generator,
    ) -> list[Alarm]:
        left = 0
        if name not in self.drift:
            first = self.first.setdefault(name, [])
            left = min(settings.baseline_labels - len(first), len(scores))
            first += [score.probability for score in scores[:left]]
            if len(first) < settings.baseline_labels:
                return []
            rate, horizon = settings.stream_rate, settings.horizon
            self.drift[name] = DriftAlarm.watch(first, rate=rate, horizon=horizon)
        later, alarm = scores[left:], self.drift[name]
        before = alarm.count if alarm.alarm_at is None else None
        if later:
            alarm.add([score.probability for score in later], random)
        if before is None or alarm.alarm_at is None:
            return []
        at = alarm.alarm_at - before
        mean = np.mean(self.first[name])
        recent = [score.probability for score in later[:at]][-50:]
        return [
            Alarm(
                kind="labels",
                group="labeled",
                measure=f"scores of {name} exams",
                at=later[at - 1].at,
                exams=alarm.alarm_at,
                before=f"mean {mean:.3g} over the first {len(self.first[name])}",
                after=f"mean {np.mean(recent):.3g} over the last {len(recent)}",
            )
        ]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]
