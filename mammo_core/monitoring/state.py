"""What a watch carries from one call to the next, as JSON: the same numbers, to the last bit."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mammo_core.errors import RecordError
from mammo_core.imaging.plausibility import Distribution
from mammo_core.metrics.betting import Wealth
from mammo_core.metrics.drift_alarm import DriftAlarm
from mammo_core.metrics.probability_alarms import CalibrationAlarm, ShareAlarm
from mammo_core.monitoring.alarms import Alarm
from mammo_core.monitoring.group import Group, Week
from mammo_core.monitoring.labels import LabelWatch
from mammo_core.monitoring.settings import WatchSettings
from mammo_core.monitoring.watch import Watch

FORMAT = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Wealth(_Part):
    rate: float
    horizon: int
    by_way: list[float]
    count: int
    waiting: float
    highest: float
    alarm_at: int | None

    @classmethod
    def of(cls, wealth: Wealth) -> "_Wealth":
        return cls(**{**vars(wealth), "by_way": wealth.by_way.tolist()})

    def restore(self) -> Wealth:
        return Wealth(**{**self.model_dump(), "by_way": np.asarray(self.by_way, np.float64)})


class _Drift(_Part):
    edges: list[float]
    counts: list[float]
    wealth: _Wealth

    @classmethod
    def of(cls, alarm: DriftAlarm) -> "_Drift":
        wealth = _Wealth.of(alarm.wealth)
        return cls(edges=alarm.edges.tolist(), counts=alarm.counts.tolist(), wealth=wealth)

    def restore(self) -> DriftAlarm:
        edges, counts = (np.asarray(part, np.float64) for part in (self.edges, self.counts))
        return DriftAlarm(edges, counts, self.wealth.restore())


class _Share(_Part):
    limit: float
    wealth: _Wealth


class _Week(_Part):
    exams: int
    sums: dict[str, tuple[float, float]]
    evidence: dict[str, float]


class _Group(_Part):
    images: int
    exams: int
    positive: int
    decided: int
    baseline: dict[str, list[float]]
    reference: dict[str, tuple[float, float]]
    drift: dict[str, _Drift]
    training: dict[str, _Share]
    outside: dict[str, int]
    recent: dict[str, list[float]]
    weeks: dict[str, _Week]

    @classmethod
    def of(cls, group: Group) -> "_Group":
        plain = {name: getattr(group, name) for name in cls.model_fields}
        return cls(
            **plain
            | {
                "drift": {name: _Drift.of(alarm) for name, alarm in group.drift.items()},
                "training": {
                    name: _Share(limit=alarm.limit, wealth=_Wealth.of(alarm.wealth))
                    for name, alarm in group.training.items()
                },
                "weeks": {name: _Week(**vars(week)) for name, week in group.weeks.items()},
            }
        )

    def restore(self, name: str) -> Group:
        plain = {key: getattr(self, key) for key in type(self).model_fields}
        return Group(
            name,
            **plain
            | {
                "drift": {key: alarm.restore() for key, alarm in self.drift.items()},
                "training": {
                    key: ShareAlarm(alarm.limit, alarm.wealth.restore())
                    for key, alarm in self.training.items()
                },
                "weeks": {key: Week(**week.model_dump()) for key, week in self.weeks.items()},
            },
        )


class _Labels(_Part):
    used: list[str]
    first: dict[str, list[float]]
    drift: dict[str, _Drift]
    calibration: _Wealth

    @classmethod
    def of(cls, labels: LabelWatch) -> "_Labels":
        return cls(
            used=sorted(labels.used),
            first=labels.first,
            drift={name: _Drift.of(alarm) for name, alarm in labels.drift.items()},
            calibration=_Wealth.of(labels.calibration.wealth),
        )

    def restore(self) -> LabelWatch:
        return LabelWatch(
            used=set(self.used),
            first=self.first,
            drift={name: alarm.restore() for name, alarm in self.drift.items()},
            calibration=CalibrationAlarm(self.calibration.restore()),
        )


class State(_Part):
    """The state of a watch.

    Attributes:
        format: Number of this format.
        model_id: Id of the model.
        settings: Settings of the watch.
        groups: Name → group.
        alarms: All alarms.
        events: Events of the model.
        other_models: Events of other models.
        exams: Latest exams and groups, oldest first.
        first: Time of the first event.
        last: Time of the latest event.
        labels: What is known of images with labels; None: there were none.
        through: Latest day of the events that were read, `2026-11-30`; empty: none were.
        batches: Ids of the batches of the last days before it.
        unreadable: Batches that could not be read.
    """

    format: int = Field(default=FORMAT, ge=FORMAT, le=FORMAT)
    model_id: str
    settings: WatchSettings
    groups: dict[str, _Group]
    alarms: list[Alarm]
    events: int
    other_models: int
    exams: list[str]
    first: str
    last: str
    labels: _Labels | None
    through: str
    batches: dict[str, list[str]]
    unreadable: int

    @classmethod
    def of(
        cls, watch: Watch, labels: LabelWatch | None, through: str, batches: dict[str, list[str]],
        unreadable: int,
    ) -> "State":  # fmt: skip
        """Return the state of a watch.

        Args:
            watch: The watch.
            labels: What is known of images with labels.
            through: As in the attributes.
            batches: Day → ids of the batches that were read.
            unreadable: As in the attributes.
        """
        plain = ("model_id", "settings", "alarms", "events", "other_models", "first", "last")
        return cls(
            **{name: getattr(watch, name) for name in plain},
            groups={name: _Group.of(group) for name, group in watch.groups.items()},
            exams=list(watch.exams),
            labels=_Labels.of(labels) if labels is not None else None,
            through=through,
            batches=batches,
            unreadable=unreadable,
        )

    def watch(self, trained: Mapping[str, Distribution]) -> Watch:
        """Return the watch.

        Args:
            trained: Measure → distribution over the training images, from the package.
        """
        return Watch(
            self.model_id,
            self.settings,
            trained,
            {name: group.restore(name) for name, group in self.groups.items()},
            list(self.alarms),
            self.events,
            self.other_models,
            dict.fromkeys(self.exams),
            self.first,
            self.last,
        )

    def label_watch(self) -> LabelWatch | None:
        """Return what is known of images with labels; None: there were none."""
        return self.labels.restore() if self.labels is not None else None


def parse_state(value: dict[str, Any], origin: str) -> State:
    """Return a state that was stored.

    Args:
        value: The JSON object.
        origin: Its name in errors.

    Raises:
        RecordError: It is something else.
    """
    try:
        return State.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise RecordError(
            f"{origin} is not the state of a watch",
            expected=f"format {FORMAT}, as `mammo monitor` writes it",
            received=f"{first['msg']} at {'.'.join(map(str, first['loc'])) or 'the start'}",
            hint="Start again with --restart: the first exams from now on are the reference",
        ) from error
