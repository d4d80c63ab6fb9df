"""The registry of trackers, and reports to those that a run has."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from mammo_core.discovery import import_entry_points, import_modules
from mammo_core.tracking.config import TrackingConfig
from mammo_core.tracking.events import RunEnd, StepEnd, StepStart, TrackedRun, Tracker

_PACKAGE: Final = "mammo_core.tracking.trackers"
_ENTRY_POINTS: Final = "mammo.trackers"

#: Returns a tracker, or None where neither the recipe nor the environment names one.
OpenTracker = Callable[[TrackingConfig], Tracker | None]
_TRACKERS: dict[str, OpenTracker] = {}


def register_tracker(name: str, open_tracker: OpenTracker) -> None:
    """Add a tracker; it imports what is heavy only when it is opened."""
    _TRACKERS[name] = open_tracker


class Report:
    """Reports to every tracker that a run has.

    A tracker that fails costs a printed line, never the work: servers of others come and go.

    Args:
        config: The key `tracking` of the recipe.
        say: Prints a line.
    """

    def __init__(self, config: TrackingConfig, say: Callable[[str], None]) -> None:
        import_modules(_PACKAGE)
        import_entry_points(_ENTRY_POINTS)
        self._say = say
        self._trackers: dict[str, Tracker] = {}
        for name, open_tracker in _TRACKERS.items():
            with self._guard(name):
                tracker = open_tracker(config)
                if tracker is not None:
                    self._trackers[name] = tracker

    @property
    def has_trackers(self) -> bool:
        """Whether there is anyone to tell."""
        return bool(self._trackers)

    def run_started(self, run: TrackedRun) -> None:
        """Report the start of a run."""
        self._send_all(lambda tracker: tracker.run_started(run))

    def run_ended(self, end: RunEnd) -> None:
        """Report the end of a run."""
        self._send_all(lambda tracker: tracker.run_ended(end))

    def step_started(self, start: StepStart) -> None:
        """Report the start of a step."""
        self._send_all(lambda tracker: tracker.step_started(start))

    def step_ended(self, end: StepEnd) -> None:
        """Report the end of a step."""
        self._send_all(lambda tracker: tracker.step_ended(end))

    def _send_all(self, send: Callable[[Tracker], None]) -> None:
        for name, tracker in self._trackers.items():
            with self._guard(name):
                send(tracker)

    @contextmanager
    def _guard(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            # The text of the error of a connection may have an address with a token in it.
            self._say(f"warning: {name} got no report: {type(error).__name__}; the work goes on")
