"""The local cache of fetched objects."""

import os
import shutil
import threading
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from mammo_core.errors import StoreError
from mammo_core.store.temporary import base, held_folder, private_folder, require_private

#: Largest size of the cache (bytes), unless MAMMO_SCRATCH_GB sets another.
_SIZE_LIMIT = 20 * 2**30
#: A file that was requested this recently may be in use by another process (seconds).
_IN_USE_S = 6 * 3600.0

_PRUNING = threading.Lock()
# Files that this process fetched and may still read.
_used: set[Path] = set()


def folder() -> Path:
    """Return the cache's folder: MAMMO_SCRATCH, or a private one in the temporary folder.

    Raises:
        StoreError: Others can enter MAMMO_SCRATCH.
    """
    setting = os.environ.get("MAMMO_SCRATCH")
    if setting:
        return require_private(Path(setting))
    return private_folder(base(), "mammo-scratch-")


def part_folder() -> AbstractContextManager[Path]:
    """Return a folder to fetch a file into, on the disk of the cache, for the length of a block."""
    return held_folder(folder(), "part-")


def use(path: Path) -> None:
    """Mark a file of the cache as in use: this process does not remove it."""
    _used.add(path)
    with suppress(OSError):
        os.utime(path)


def release(path: Path) -> None:
    """Mark a file of the cache as no longer needed: it is removed when space is needed."""
    _used.discard(path)
    then = time.time() - _IN_USE_S
    with suppress(OSError):
        os.utime(path, (then, then))


def size_limit() -> int:
    """Return the largest size of the cache in bytes: MAMMO_SCRATCH_GB, or 20 GiB.

    Raises:
        StoreError: The variable is not a size.
    """
    setting = os.environ.get("MAMMO_SCRATCH_GB")
    if not setting:
        return _SIZE_LIMIT
    try:
        size = float(setting)
    except ValueError:
        size = -1.0
    if not 0 <= size < 2**30:
        raise StoreError(
            "The size of the scratch cache cannot be used",
            expected="MAMMO_SCRATCH_GB to be a number of GiB, 0 or more",
            received=repr(setting),
        )
    return int(size * 2**30)


def prune(limit: int | None = None) -> None:
    """Remove the least recently used files until the cache fits its limit.

    Files that this process uses are kept, and those that any process requested recently.

    Args:
        limit: Size to shrink to (bytes); by default `size_limit`.
    """
    limit = size_limit() if limit is None else limit
    recent = time.time() - _IN_USE_S
    with _PRUNING:
        files = []
        for path in folder().glob("[0-9a-f]*/*"):
            with suppress(OSError):
                if path.is_file():
                    facts = path.stat()
                    files.append((facts.st_mtime, facts.st_size, path))
        total = sum(size for _, size, _ in files)
        for used, size, path in sorted(files):
            if total <= limit or used > recent:
                break
            if path not in _used:
                shutil.rmtree(path.parent, ignore_errors=True)
                total -= size
