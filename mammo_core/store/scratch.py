"""The local cache of fetched objects."""

import os
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from mammo_core.errors import StoreError

#: Size of the cache (bytes), unless MAMMO_SCRATCH_GB names another.
BOUND = 20 * 2**30
#: A file that was asked for this lately may be in use by another process (seconds).
_IN_USE_S = 6 * 3600.0

_PRUNING = threading.Lock()
# What this process was given and may still read.
_used: set[Path] = set()


def folder() -> Path:
    """The cache's folder: MAMMO_SCRATCH, or one of ours under the temporary folder."""
    told = os.environ.get("MAMMO_SCRATCH")
    place = Path(told) if told else Path(tempfile.gettempdir()) / f"mammo-scratch-{os.getuid()}"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    return place


def use(path: Path) -> None:
    """Note that a file of the cache is used from now on: this process never removes it."""
    _used.add(path)
    with suppress(OSError):
        os.utime(path)


def release(path: Path) -> None:
    """Note that a file of the cache was read and may go when room is needed."""
    _used.discard(path)
    then = time.time() - _IN_USE_S
    with suppress(OSError):
        os.utime(path, (then, then))


def bound_bytes() -> int:
    """The size the cache may have: MAMMO_SCRATCH_GB, or 20 GiB.

    Raises:
        StoreError: When what is told is no size.
    """
    told = os.environ.get("MAMMO_SCRATCH_GB")
    if not told:
        return BOUND
    try:
        size = float(told)
    except ValueError:
        size = -1.0
    if not 0 <= size < 2**30:
        raise StoreError(
            "The size of the scratch cache cannot be used",
            expected="MAMMO_SCRATCH_GB to be a number of GiB, 0 or more",
            received=repr(told),
        )
    return int(size * 2**30)


def prune(bound: int | None = None) -> None:
    """Remove the files used longest ago until the cache fits its bound.

    Files that this process uses stay, and those that another one asked for lately.

    Args:
        bound: Size to come down to (bytes); default that of `bound_bytes`.
    """
    bound = bound_bytes() if bound is None else bound
    recent = time.time() - _IN_USE_S
    with _PRUNING:
        files = []
        for path in folder().glob("*/*"):
            with suppress(OSError):
                if path.is_file():
                    facts = path.stat()
                    files.append((facts.st_mtime, facts.st_size, path))
        total = sum(size for _, size, _ in files)
        for used, size, path in sorted(files):
            if total <= bound or used > recent:
                break
            if path not in _used:
                shutil.rmtree(path.parent, ignore_errors=True)
                total -= size
