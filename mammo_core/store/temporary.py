"""Folders on this machine for files of patients: private, and removed after whoever made them.

Temporary files hold pixels and headers. A process keeps them in one folder of a random name that
only its user can enter (`mammo-run-…`), which it removes at its end. A process that was killed
cannot: the next one removes every such folder whose lock no process holds any more.
"""

import atexit
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from mammo_core.errors import StoreError

_PREFIX: Final = "mammo-run-"
_LOCK: Final = ".lock"
#: Seconds after which a folder without a lock is one that was left.
_NEW_S: Final = 60.0
#: The folder in which the folder of this process is, for the processes that it starts.
_BASE: Final = "MAMMO_TEMPORARY_BASE"
# The open lock of this process; closing it, as its end does, gives the folder up.
_lock: int | None = None


def base() -> Path:
    """Return the machine's folder for temporary files, or that of the private folder in use."""
    return Path(os.environ.get(_BASE) or tempfile.gettempdir())


def use_private_folder() -> Path:
    """Keep the temporary files of this process, and of those it starts, in a private folder.

    What killed processes left is removed first. Called again, or in a process that was started
    by one that called it, it returns the same folder.

    Raises:
        StoreError: The folder for temporary files cannot be used.
    """
    global _lock
    inherited = Path(tempfile.gettempdir())
    if _BASE in os.environ and _is_private(inherited):
        if _lock is None:
            _lock = _hold(inherited)
        return inherited
    parent = base()
    try:
        folder, _lock = _make_held(parent, _PREFIX)
    except OSError as error:
        raise StoreError(
            f"Temporary files cannot be kept in {parent}",
            expected="a folder that can be written to, with space",
            received=error.strerror or type(error).__name__,
            hint="TMPDIR names another one",
        ) from error
    os.environ[_BASE] = str(parent)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    atexit.register(_remove_own, folder, os.getpid())
    return folder


@contextmanager
def held_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new private folder, removed after the block, or by the next process after a kill.

    Args:
        parent: Where it is.
        prefix: Start of its name; folders of this prefix that no process holds are removed.
    """
    folder, lock = _make_held(parent, prefix)
    try:
        yield folder
    finally:
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def remove_left(parent: Path, prefix: str = _PREFIX) -> list[Path]:
    """Remove the folders of processes that ended without removing them.

    Args:
        parent: Where they are.
        prefix: Start of their names.

    Returns:
        What was removed.
    """
    removed = []
    for folder in sorted(parent.glob(f"{prefix}*")):
        if not _is_private(folder):
            continue  # of another user
        with suppress(OSError):
            lock = folder / _LOCK
            if not lock.exists() and time.time() - folder.stat().st_mtime < _NEW_S:
                continue  # its process is about to lock it
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
                removed.append(folder)
            finally:
                os.close(handle)
    return removed


def require_private(folder: Path) -> Path:
    """Return a folder, created if it is missing, that no other user can enter or has made.

    Args:
        folder: The folder.

    Raises:
        StoreError: Others can read or write it, it belongs to another user, or it is a link.
    """
    with suppress(FileExistsError):
        folder.mkdir(parents=True, mode=0o700)
    if _is_private(folder):
        return folder
    state = folder.lstat()
    raise StoreError(
        f"The folder {folder} is not private",
        expected="a folder of this user with mode 700: it holds images of patients",
        received=f"{stat.filemode(state.st_mode)}, user {state.st_uid}",
        hint=f"chmod 700 {folder}, or name another folder",
    )


def private_folder(parent: Path, prefix: str) -> Path:
    """Return a private folder that processes of this user share; its name cannot be guessed.

    Args:
        parent: Where it is.
        prefix: Start of its name.
    """
    for folder in sorted(parent.glob(f"{prefix}*")):
        if _is_private(folder):
            return folder
    return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))


def _is_private(folder: Path) -> bool:
    """Whether it is a folder, not a link, of this user, that only this user can enter."""
    try:
        state = folder.lstat()
    except OSError:
        return False
    private = not stat.S_IMODE(state.st_mode) & 0o077
    return stat.S_ISDIR(state.st_mode) and state.st_uid == os.geteuid() and private


def _make_held(parent: Path, prefix: str) -> tuple[Path, int]:
    remove_left(parent, prefix)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with suppress(FileNotFoundError):  # another process took it for one that was left
            return folder, _hold(folder)


def _hold(folder: Path) -> int:
    """Lock a folder against removal; FileNotFoundError if it was removed meanwhile."""
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    try:
        (folder / _LOCK).stat()
    except FileNotFoundError:
        os.close(lock)
        raise
    return lock


def _remove_own(folder: Path, process: int) -> None:
    if os.getpid() == process:  # not in a fork
        shutil.rmtree(folder, ignore_errors=True)
