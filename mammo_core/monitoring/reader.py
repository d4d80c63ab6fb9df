"""Reading events that were not read before."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

from mammo_core.errors import RecordError
from mammo_core.monitoring.batches import day_of, folder_of, from_bytes, id_of
from mammo_core.scoring.events import ScoreEvent
from mammo_core.store import Store, TooLargeError

#: Days before the latest one that are read again: a writer may have waited for the store.
LATE_DAYS: Final = 2
_MAXIMUM_BYTES: Final = 2**21


@dataclass
class EventReader:
    """Reads batches once each.

    Attributes:
        store: The store of events.
        through: Latest day of what was read, `2026-11-30`; empty: nothing was.
        batches: Day → ids of the batches that were read, of the latest days.
        unreadable: Batches that could not be read.
        first_fault: Why the first of them could not; empty: all could.
    """

    store: Store
    through: str = ""
    batches: dict[str, list[str]] = field(default_factory=dict)
    unreadable: int = 0
    first_fault: str = ""

    def new_keys(self, today: date | None = None) -> list[str]:
        """Return the keys of batches that were not read, in their order.

        Args:
            today: The latest day to look at; None: the day after the current one (UTC), as clocks
                differ.

        Raises:
            StoreError: The store fails.
        """
        if not self.through:
            keys = list(self.store.list(""))
        else:
            latest = date.fromisoformat(self.through)
            today = today or datetime.now(UTC).date() + timedelta(days=1)
            first = latest - timedelta(days=LATE_DAYS)
            days = (max(today, latest) - first).days + 1
            folders = (folder_of(first + timedelta(days=number)) for number in range(days))
            keys = [key for folder in folders for key in self.store.list(folder)]
        known = {id for ids in self.batches.values() for id in ids}
        return [key for key in keys if day_of(key) is not None and id_of(key) not in known]

    def skip(self, keys: list[str]) -> None:
        """Take batches for read."""
        for key in keys:
            day = day_of(key)
            if day is not None:
                self.batches.setdefault(f"{day:%Y-%m-%d}", []).append(id_of(key))
        if self.batches:
            self.through = max(self.batches)
            oldest = date.fromisoformat(self.through) - timedelta(days=LATE_DAYS)
            kept = {day: ids for day, ids in self.batches.items() if day >= f"{oldest:%Y-%m-%d}"}
            self.batches = kept

    def read(self, keys: list[str]) -> Iterator[tuple[ScoreEvent, ...]]:
        """Yield the events of each batch; a batch that cannot be read has none, and is counted.

        Raises:
            StoreError: The store fails.
        """
        for key in keys:
            try:
                yield from_bytes(self.store.read(key, _MAXIMUM_BYTES), key)
            except (RecordError, TooLargeError) as error:
                self.unreadable += 1
                self.first_fault = self.first_fault or str(error)
                yield ()
