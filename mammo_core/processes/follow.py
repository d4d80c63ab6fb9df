"""Steps that end with the command that started them."""

import os
import select
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from mammo_core.errors import RunError

#: Environment variable: `<pid>:<start time>` of the process that a step follows.
FOLLOW: Final = "MAMMO_FOLLOW"


def start_time(pid: int) -> str | None:
    """Return when a process started (clock ticks since boot); None if it does not exist."""
    with suppress(OSError, IndexError):
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        # A zombie has ended; its parent just has not waited for it yet.
        return None if state == "Z" else fields[18]
    return None


def child_environment() -> dict[str, str]:
    """Return the variables that make child processes follow this process."""
    return {FOLLOW: f"{os.getpid()}:{start_time(os.getpid())}"}


def follow_parent() -> None:
    """End this process as soon as the process named in the environment ends.

    A kill -9 leaves no time to stop children, and a step is not even a direct child (KFP starts
    it through a shell), so the step watches the process itself.

    Raises:
        RunError: That process has ended already.
    """
    target = os.environ.get(FOLLOW)
    if not target:
        return
    pid_text, _, start = target.partition(":")
    pid = int(pid_text) if pid_text.isdecimal() else 0
    if pid == os.getpid():
        return
    if start_time(pid) != start:
        raise RunError(
            "The command that this step belongs to has ended",
            expected=f"{FOLLOW} to name a running process",
            received=f"{target!r}, which is not running",
        )
    threading.Thread(target=_exit_after, args=(pid, start), daemon=True).start()


def _exit_after(pid: int, start: str) -> None:
    with suppress(OSError):
        descriptor = os.pidfd_open(pid)
        if start_time(pid) == start:
            waiter = select.poll()
            waiter.register(descriptor, select.POLLIN)
            waiter.poll()
    while start_time(pid) == start:
        time.sleep(0.2)
    os._exit(137)
