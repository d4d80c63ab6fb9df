"""Draw in several processes, each with one OpenCV thread; none outlives its parent."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.context import BaseContext
from pathlib import Path

import cv2

from mammo_core.phantom.config import PhantomConfig
from mammo_core.phantom.files import MammogramFiles
from mammo_core.phantom.write import ViewFiles, write_view

_AHEAD = 8  # views waiting for each worker


def write_views(
    root: Path, config: PhantomConfig, planned: list[list[MammogramFiles]], workers: int
) -> Iterator[ViewFiles]:
    """Draw and write views in several processes.

    Args:
        root: Folder of the tree.
        config: The phantom's parameters.
        planned: The files of each view.
        workers: Number of processes; 1 draws in this process.

    Yields:
        The files of each view, in the order of the plan.
    """
    if workers <= 1 or len(planned) <= 2:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            for mammograms in planned:
                yield write_view(root, config, mammograms)
        finally:
            cv2.setNumThreads(threads)
        return
    executor = ProcessPoolExecutor(
        workers, mp_context=_context(), initializer=_initialize_worker, initargs=(os.getpid(),)
    )
    try:
        # One view a task, so that an interrupted run ends at once.
        waiting: deque[Future[ViewFiles]] = deque()
        for mammograms in planned:
            waiting.append(executor.submit(write_view, root, config, mammograms))
            if len(waiting) >= workers * _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _context() -> BaseContext:
    """Return spawned processes: a fork would copy the locks of other libraries' threads.

    A main program that cannot be imported again (a script from standard input) needs a fork.
    """
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    importable = main is None or Path(main).is_file()
    return multiprocessing.get_context("spawn" if importable else "fork")


def _initialize_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    if sys.platform == "linux":
        pr_set_pdeathsig = 1  # prctl(2)
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    cv2.setNumThreads(1)
