"""Processes that end with the test that started them."""

import ctypes
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


@contextmanager
def start_child(command: list[str], **options: object) -> Iterator[subprocess.Popen]:
    """Run a process that ends with the block, and with pytest however that ends.

    Args:
        command: The program and its arguments.
        options: Options of `subprocess.Popen`.
    """
    process = subprocess.Popen(command, preexec_fn=end_with_parent, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def end_with_parent() -> None:
    """Let the system kill this process when the one that started it ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port() -> int:
    """Return a port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until a condition holds; fail the test if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.02)
