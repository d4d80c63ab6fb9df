"""Progress of a Beam pipeline whose work is done in this process (Direct runner)."""

from collections.abc import Iterator
from contextlib import contextmanager

from mammo_core.progress import Progress, progress

# A worker in another process finds none and shows nothing.
_shown: Progress | None = None


@contextmanager
def shown(label: str, total: int, unit: str) -> Iterator[None]:
    """Show the progress that `advance` tells while the block runs."""
    global _shown
    with progress(label, total, unit) as _shown:
        try:
            yield
        finally:
            _shown = None


def advance(count: int = 1) -> None:
    """Count finished units; may be called from any thread."""
    if _shown is not None:
        _shown.advance(count)
