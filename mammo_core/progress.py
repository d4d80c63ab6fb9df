"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: A line this often where there is no terminal (seconds).
_LINE_EVERY_S = 5.0


class Progress:
    """Counts finished units and tells how many a second.

    Args:
        label: What is being done, for instance `convert`.
        total: How many units there are.
        unit: The plural name of a unit, for instance `images`.
    """

    def __init__(self, label: str, total: int, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0
        self._start = self._told = time.monotonic()
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
            if now - self._told >= _LINE_EVERY_S:
                self._told = now
                print(self.line(), flush=True)

    @property
    def rate(self) -> float:
        """Units a second since the start."""
        return self.done / max(time.monotonic() - self._start, 1e-9)

    def line(self) -> str:
        """The state as one line."""
        return f"[{self.label}] {self.done}/{self.total} {self.unit}, {self.rate:.1f} {self.unit}/s"

    def close(self) -> None:
        """Take the bar away and print the last line."""
        if self._bar is not None:
            self._bar.stop()
        print(self.line(), flush=True)


@contextmanager
def progress(label: str, total: int, unit: str) -> Iterator[Progress]:
    """Show the progress of a block of work."""
    shown = Progress(label, total, unit)
    try:
        yield shown
    finally:
        shown.close()
