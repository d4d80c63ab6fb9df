"""Which processes live, and how steps die with the command that started them."""

import os
import select
import threading
import time
from contextlib import suppress
from pathlib import Path

from mammo_core.errors import StoreError

#: `<pid>:<start time>` of the process that a step follows.
FOLLOW = "MAMMO_FOLLOW"


def started(pid: int) -> str | None:
    """When a process started (clock ticks since boot), or None when there is none."""
    with suppress(OSError, IndexError):
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        # A zombie is dead; only its parent has not looked yet.
        return None if state == "Z" else fields[18]
    return None


def follow_me() -> dict[str, str]:
    """The environment that makes child processes end with this process."""
    return {FOLLOW: f"{os.getpid()}:{started(os.getpid())}"}


def follow_parent() -> None:
    """End this process as soon as the one named in the environment has ended.

    A kill -9 leaves no time to stop children, and a step is not even a direct child (KFP puts
    a shell between), so the step watches by itself.

    Raises:
        StoreError: When that process is dead already.
    """
    told = os.environ.get(FOLLOW)
    if not told:
        return
    pid_text, _, start = told.partition(":")
    pid = int(pid_text) if pid_text.isdecimal() else 0
    if pid == os.getpid():
        return
    if started(pid) != start:
        raise StoreError(
            "The command that this step belongs to has ended",
            expected=f"{FOLLOW} to name a living process",
            received=f"{told!r}, which is none",
        )
    threading.Thread(target=_watch, args=(pid, start), daemon=True).start()


def _watch(pid: int, start: str) -> None:
    with suppress(OSError):
        descriptor = os.pidfd_open(pid)
        if started(pid) == start:
            waiter = select.poll()
            waiter.register(descriptor, select.POLLIN)
            waiter.poll()
    while started(pid) == start:
        time.sleep(0.2)
    os._exit(137)
