"""One call in a fork of this process: it has the memory of its own work, and ends with us.

A step of a pod runs in a fork of a process that has imported nothing heavy: what one step leaves
in memory is gone before the next begins, and a step that the kernel ends can be started again.
"""

import atexit
import json
import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, NoReturn

from mammo_core.processes.launch import end_with_parent


@dataclass(frozen=True)
class ForkResult:
    """How a fork ended.

    Attributes:
        exit_code: 0 for success; the negative number of the signal that ended it.
        value: What the function returned, as JSON gives it back; None without success.
    """

    exit_code: int
    value: Any = None


def call_in_fork(
    function: Callable[[], Any], environment: Mapping[str, str] | None = None
) -> ForkResult:
    """Call a function in a fork of this process and wait for it.

    Nothing that has threads or an open connection may be in use here: a fork gets neither the
    threads nor a connection of its own.

    Args:
        function: What is called; it returns plain JSON. `SystemExit` gives the exit code; any
            other error is printed, with exit code 1.
        environment: Variables to set in the fork.
    """
    with tempfile.TemporaryFile() as answer:
        read_end, write_end = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        process = os.fork()
        if process == 0:
            os.close(write_end)
            os.environ.update(environment or {})
            _call(function, answer, read_end)
        os.close(read_end)
        try:
            _, status = os.waitpid(process, 0)
        finally:
            os.close(write_end)  # ends the fork where we were interrupted
        exit_code = os.waitstatus_to_exitcode(status)
        answer.seek(0)
        text = answer.read()  # of our own fork, and no file of a store
        return ForkResult(exit_code, json.loads(text) if exit_code == 0 else None)


def _call(function: Callable[[], Any], answer: IO[bytes], lifeline: int) -> NoReturn:
    """Be the fork: write what the function returns, and end without returning to the caller."""
    exit_code = 1
    try:
        end_with_parent(lifeline)
        answer.write(json.dumps(function()).encode())
        answer.flush()
        exit_code = 0
    except SystemExit as end:
        exit_code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    with suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as an exit does
        atexit._run_exitfuncs()
    with suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(exit_code)
