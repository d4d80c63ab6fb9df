"""Python programs in forks of a process that has imported the libraries: they start at once.

Importing TensorFlow takes a processor some seconds, which is most of what a command or a step of
a small run takes. A test of what they do, and not of how they start, runs them in forks:

    def test_a_command(forks):
        subprocess.run([*forks.python, script, *arguments])

Calls of the library in processes of their own (`call_in_process`) are forks in all tests, except
in those that use the fixture `new_processes`.
"""

import fcntl
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from mammo_core.processes import ProcessResult, call, run_process
from tests.support.processes import wait_until

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
#: What is started here, until this process ends.
_STARTED: list[subprocess.Popen[bytes]] = []


class ForkServer:
    """A process that forks one for each call of `python`, until the session of pytest ends.

    It starts when it is first needed, and once for all processes of the session.

    Args:
        folder: Empty at first; the same in all processes of the session.
        session: The process with which it ends.
    """

    def __init__(self, folder: Path, session: int) -> None:
        self._folder, self._session = folder, session

    @cached_property
    def python(self) -> list[str]:
        """What takes the place of `sys.executable` in a command."""
        with (self._folder / "forks.lock").open("a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.seek(0)
            address = lock.read()
            if not address:
                # The path of a socket has at most 107 characters: in a folder of its own.
                address = str(Path(tempfile.mkdtemp(prefix="forks-")) / "socket")
                self._start(address)
                lock.write(address)
        return _python(address)

    def _start(self, address: str) -> None:
        log = self._folder / "forks.log"
        command = [sys.executable, "-m", "tests.support.fork_server", address]
        # Forks end with their commands; numerical libraries start no threads before.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*command, str(self._session), *_python(address)],
                **{"cwd": _ROOT, "env": environment, "stdin": subprocess.DEVNULL},
                **{"stdout": file, "stderr": file},
            )
        _STARTED.append(process)

        def listens() -> bool:
            assert process.poll() is None, log.read_text()[-2000:]
            return Path(address).exists()

        wait_until(listens, 300)

    def command(self, script: Path) -> Path:
        """Return a program that runs a Python script in a fork."""
        path = self._folder / f"{script.name}-{os.getpid()}"
        path.write_text(f'#!/bin/sh\nexec {shlex.join([*self.python, str(script)])} "$@"\n')
        path.chmod(0o700)
        return path


def _python(address: str) -> list[str]:
    return [sys.executable, "-I", "-S", str(_HERE / "fork_client.py"), address]


@contextmanager
def processes_in_forks(
    python: Callable[[], list[str]], module: ModuleType = call
) -> Iterator[None]:
    """Let what a module of the library starts as new processes of Python be forks.

    Args:
        python: Returns the command that asks for a fork.
        module: A module that calls `run_process`.
    """

    def run(command: list[str], **options: Any) -> ProcessResult:
        assert command[0] == sys.executable
        variables = {**os.environ, **(options.get("environment") or {})}
        if variables.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
            return run_process(command, **options)  # Keras is imported with another backend
        return run_process([*python(), *command[1:]], **options)

    module.run_process = run  # type: ignore[attr-defined]
    try:
        yield
    finally:
        module.run_process = run_process  # type: ignore[attr-defined]
