"""Python programs in forks of a process that has imported the libraries: they start at once.

Importing TensorFlow takes a processor some seconds, which is most of what a command or a step of
a small run takes. A test of what they do, and not of how they start, runs them in forks:

    with ForkServer() as forks:
        subprocess.run([*forks.python, script, *arguments])
"""

import os
import shlex
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.support.processes import start_child, wait_until

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]


class ForkServer(ExitStack):
    """While the block runs, a process that forks one for each call of `python`.

    Attributes:
        python: What takes the place of `sys.executable` in a command.
    """

    def __enter__(self) -> "ForkServer":
        super().__enter__()
        self._folder = Path(self.enter_context(tempfile.TemporaryDirectory(prefix="forks-")))
        address, log = self._folder / "socket", self._folder / "log"
        client = str(_HERE / "fork_client.py")
        self.python = [sys.executable, "-I", "-S", client, str(address)]
        command = [sys.executable, "-m", "tests.support.fork_server", str(address), *self.python]
        with log.open("wb") as file:
            pipes = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file}
            # Forks end with their commands; numerical libraries start no threads before.
            environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
            server = start_child(command, cwd=_ROOT, env=environment, **pipes)
            process = self.enter_context(server)

        def listens() -> bool:
            assert process.poll() is None, log.read_text()[-2000:]
            return address.exists()

        wait_until(listens, 300)
        return self

    def command(self, script: Path) -> Path:
        """Return a program that runs a Python script in a fork."""
        path = self._folder / script.name
        path.write_text(f'#!/bin/sh\nexec {shlex.join([*self.python, str(script)])} "$@"\n')
        path.chmod(0o700)
        return path
