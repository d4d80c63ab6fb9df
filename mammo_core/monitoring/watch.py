"""A watch over a model: its groups, and what each of them shows.

Images of one exam look alike, and bets on numbers that depend on each other are not fair: so of
each exam and group one image is looked at, CC or MLO as the token of the exam decides. The rest is
counted.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from mammo_core.imaging.plausibility import Distribution
from mammo_core.monitoring.alarms import Alarm
from mammo_core.monitoring.group import Group
from mammo_core.monitoring.settings import WatchSettings
from mammo_core.scoring.events import ScoreEvent

#: Where images go when there are as many groups as are watched.
OTHERS: Final = "other vendors"
#: Exams that are remembered: the images of an exam are scored within a few of each other.
_EXAMS: Final = 4096


@dataclass
class Watch:
    """What is known of a model in use; its size does not grow with the number of images.

    Attributes:
        model_id: Id of the model.
        settings: The settings.
        trained: Measure → distribution over the training images; empty if unknown.
        groups: Name → group.
        alarms: All alarms so far.
        events: Events of the model so far.
        other_models: Events of other models, which were left out.
        exams: Latest exams and groups that an image stands for, oldest first.
        first: Time of the first event.
        last: Time of the latest event.
    """

    model_id: str
    settings: WatchSettings
    trained: Mapping[str, Distribution] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    alarms: list[Alarm] = field(default_factory=list)
    events: int = 0
    other_models: int = 0
    exams: dict[str, None] = field(default_factory=dict)
    first: str = ""
    last: str = ""

    def add(self, events: Sequence[ScoreEvent]) -> list[Alarm]:
        """Look at further events, in their order.

        The same events in the same calls give the same alarms.

        Args:
            events: The events; those of other models are counted and left out.

        Returns:
            The alarms that they raise.
        """
        chosen: dict[str, list[ScoreEvent]] = defaultdict(list)
        random = np.random.default_rng([int(self.model_id[:15], 16), self.events])
        for event in events:
            if event.model_id != self.model_id:
                self.other_models += 1
                continue
            self.events += 1
            self.first = min(self.first or event.at, event.at)
            self.last = max(self.last, event.at)
            group = self._group(event)
            group.images += 1
            group.decided += bool(event.decision)
            group.positive += event.decision == "positive"
            if event.gray and self._stands_for_its_exam(event, group.name):
                chosen[group.name].append(event)
        raised = []
        for name in sorted(chosen):
            raised += self.groups[name].add(chosen[name], self.settings, self.trained, random)
        self.alarms += raised
        return raised

    def _group(self, event: ScoreEvent) -> Group:
        name = f"{event.vendor or 'unknown'}, {event.image_type or 'kind unknown'}"
        if name not in self.groups and len(self.groups) >= self.settings.groups:
            name = OTHERS
        return self.groups.setdefault(name, Group(name))

    def _stands_for_its_exam(self, event: ScoreEvent, group: str) -> bool:
        if not event.exam:
            return True
        if event.view_class and event.view_class != view_for(event.exam):
            return False
        exam = f"{group}\0{event.exam}"
        if exam in self.exams:
            return False
        self.exams[exam] = None
        if len(self.exams) > _EXAMS:
            del self.exams[next(iter(self.exams))]
        return True


def view_for(exam: str) -> str:
    """Return which view stands for an exam, half of the exams each: CC or MLO.

    Args:
        exam: Token or key of the exam.
    """
    return "MLO" if hashlib.sha256(exam.encode()).digest()[0] % 2 else "CC"
