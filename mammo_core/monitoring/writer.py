"""Writing events to a store, beside the work that they are about.

Scoring never waits for the store and never fails because of it: events wait in a queue of bounded
size, and what does not fit is dropped, counted and reported.
"""

import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from mammo_core.errors import MammoError
from mammo_core.monitoring.batches import MOST_EVENTS, day_of, new_key, to_bytes
from mammo_core.scoring.events import ScoreEvent
from mammo_core.store import Store


@dataclass(frozen=True)
class WriterLimits:
    """Limits of a writer.

    Attributes:
        batch: Events of an object: as soon as there are so many, they are written.
        every_s: Longest wait of an event while the store works (seconds).
        waiting: Events that wait at most; later ones are dropped.
        retry_s: Pause after a failure (seconds).
        close_s: Longest time that the end of the work waits for the store (seconds).
    """

    batch: int = 500
    every_s: float = 30.0
    waiting: int = 20_000
    retry_s: float = 10.0
    close_s: float = 20.0

    def __post_init__(self) -> None:
        if not 1 <= self.batch <= min(MOST_EVENTS, self.waiting):
            raise ValueError(f"1 to {MOST_EVENTS} events a batch, no more than may wait")


class EventWriter:
    """Writes events in a thread of its own.

    Args:
        store: Where they go; nothing is read or listed there.
        limits: The limits.
        out: Where failures are reported; by default standard error.
    """

    def __init__(
        self, store: Store, limits: WriterLimits | None = None, out: TextIO | None = None
    ) -> None:
        self._store, self._limits, self._out = store, limits or WriterLimits(), out
        self._waiting: deque[ScoreEvent] = deque()
        self._batch: list[ScoreEvent] = []
        self._key = ""
        self._counts: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._closing = False
        self._is_failing = False
        self._thread = threading.Thread(target=self._work, name="events", daemon=True)
        self._thread.start()

    def add(self, events: Sequence[ScoreEvent]) -> None:
        """Take events; returns at once and raises nothing."""
        with self._changed:
            free = self._limits.waiting - len(self._waiting) - len(self._batch)
            taken = events[: max(free, 0)]
            self._waiting.extend(taken)
            self._counts["dropped"] += len(events) - len(taken)
            if len(self._waiting) >= self._limits.batch:
                self._changed.notify_all()

    def counts(self) -> dict[str, int]:
        """Return the events `written`, `dropped` and `waiting`, and the store's `failures`."""
        with self._changed:
            waiting = len(self._waiting) + len(self._batch)
            counts = {name: self._counts[name] for name in ("written", "dropped", "failures")}
            return {**counts, "waiting": waiting}

    def close(self) -> dict[str, int]:
        """Write what waits, within the limit of time; what is left then is dropped.

        Returns:
            The counts, as `counts` returns them.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(self._limits.close_s)
        with self._changed:
            left = len(self._waiting) + len(self._batch)
            self._waiting.clear()
            self._counts["dropped"] += left
        counts = self.counts() | {"waiting": 0}
        if counts["dropped"]:
            self._say(
                f"{counts['dropped']} events were not recorded in {self._store.uri}: "
                "`mammo monitor` will not know of these images"
            )
        return counts

    def _work(self) -> None:
        while self._next_batch():
            if self._write():
                continue
            with self._changed:
                self._changed.wait_for(lambda: self._closing, self._limits.retry_s)
                closing = self._closing
            if closing:  # what is left of its time is short
                time.sleep(min(self._limits.retry_s, 0.2))

    def _next_batch(self) -> bool:
        """Wait for a batch; return whether there is one, and False at the end."""
        with self._changed:
            if not self._batch:
                end = time.monotonic() + self._limits.every_s
                while not self._closing and len(self._waiting) < self._limits.batch:
                    left = end - time.monotonic()
                    if left <= 0:
                        if self._waiting:
                            break
                        left = self._limits.every_s
                        end = time.monotonic() + left
                    self._changed.wait(left)
                count = min(len(self._waiting), self._limits.batch)
                self._batch = [self._waiting.popleft() for _ in range(count)]
                self._key = ""
            return bool(self._batch)

    def _write(self) -> bool:
        # The key stays the same while it is tried again, so that nothing is counted twice; a new
        # day has a folder of its own, and the folders of past days are soon read no more.
        if day_of(self._key) != day_of(fresh := new_key()):
            self._key = fresh
        try:
            self._store.write(self._key, to_bytes(self._batch))
        # Anything: a thread that ended here would lose all later events without a word.
        except Exception as error:
            with self._changed:
                self._counts["failures"] += 1
            if not self._is_failing:
                text = str(error) if isinstance(error, MammoError) else type(error).__name__
                self._say(
                    f"events cannot be recorded: {text} Up to {self._limits.waiting} of them wait; "
                    "scoring goes on"
                )
            self._is_failing = True
            return False
        with self._changed:
            self._counts["written"] += len(self._batch)
            self._batch = []
        if self._is_failing:
            self._say("events are recorded again")
        self._is_failing = False
        return True

    def _say(self, text: str) -> None:
        print(text, file=self._out or sys.stderr, flush=True)
