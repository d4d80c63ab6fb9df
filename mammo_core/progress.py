"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: How often a line is printed where there is no terminal (seconds).
_LINE_INTERVAL_S = 5.0


class Progress:
    """Counts finished units and shows how many are done per second.

    Args:
        label: The work, for instance `convert`.
        total: Number of units.
        unit: The plural name of a unit, for instance `images`.
    """

    def __init__(self, label: str, total: int, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0
        self._start = self._last_line = time.monotonic()
        self._lock = threading.Lock()
        self._bar = None
        if sys.stdout.isatty() and total:
            from rich.progress import Progress as Bar

            self._bar = Bar(transient=True)
            self._bar.start()
            self._task = self._bar.add_task(f"{label} ({unit})", total=total)

    def advance(self, count: int = 1) -> None:
        """Count `count` more units; may be called from any thread."""
        with self._lock:
            self.done += count
            if self._bar is not None:
                self._bar.update(self._task, completed=self.done)
                return
            now = time.monotonic()
            if now - self._last_line >= _LINE_INTERVAL_S:
                self._last_line = now
                print(self.line(), flush=True)

    @property
    def rate(self) -> float:
        """Units per second since the start."""
        return self.done / max(time.monotonic() - self._start, 1e-9)

    def line(self) -> str:
        """Return the state as one line."""
        return f"[{self.label}] {self.done}/{self.total} {self.unit}, {self.rate:.1f} {self.unit}/s"

    def close(self) -> None:
        """Remove the bar and print the last line."""
        if self._bar is not None:
            self._bar.stop()
        print(self.line(), flush=True)


@contextmanager
def progress(label: str, total: int, unit: str) -> Iterator[Progress]:
    """Show the progress of a block of work."""
    bar = Progress(label, total, unit)
    try:
        yield bar
    finally:
        bar.close()
