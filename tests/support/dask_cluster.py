"""A scheduler of Dask and workers, as processes of this machine."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.processes import end_with_parent, free_port, wait_until

ROOT = Path(__file__).parents[2]


class DaskCluster:
    """A scheduler and workers that can be killed and started again; ends with its block.

    Args:
        folder: Where the processes write their logs and files.
        workers: How many workers to start.
    """

    def __init__(self, folder: Path, workers: int = 2) -> None:
        self.folder = folder
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []
        self._count = workers
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.start_scheduler()
        for _ in range(self._count):
            self.start_worker()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in (*self.workers, self.scheduler):
            if process is not None:
                process.kill()
                process.wait()
        self._stack.close()

    def start_scheduler(self) -> None:
        """Start the scheduler, or start it again at the same address."""
        port = self.address.rpartition(":")[2]
        options = ("--host", "127.0.0.1", "--port", port, "--no-show")
        self.scheduler = self._start("scheduler", *options)

    def start_worker(self) -> None:
        """Start one more worker, with one thread; it waits for the scheduler."""
        options = ("--nthreads", "1", "--no-nanny", "--memory-limit", "0")
        self.workers.append(self._start("worker", self.address, *options, "--death-timeout", "300"))

    def wait_for_workers(self, count: int) -> None:
        """Wait until so many workers are registered."""
        import distributed

        with distributed.Client(self.address, timeout=300) as client:
            client.wait_for_workers(count, timeout=300)

    def wait_until_workers_end(self) -> None:
        """Wait until every worker has ended, as they do without a scheduler."""
        wait_until(lambda: all(worker.poll() is not None for worker in self.workers), 300)

    def _start(self, part: str, *options: str) -> subprocess.Popen[bytes]:
        number = len(list(self.folder.glob(f"{part}-*.log")))
        log = self._stack.enter_context((self.folder / f"{part}-{number}.log").open("wb"))
        command = [sys.executable, "-m", f"distributed.cli.dask_{part}", "--no-dashboard"]
        return subprocess.Popen(
            [*command, *options],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
            preexec_fn=end_with_parent,
        )
