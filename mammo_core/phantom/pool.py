"""The processes that draw: each with one OpenCV thread, none outliving the one that started it."""

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
from mammo_core.phantom.write import Written, write_view

_AHEAD = 8  # views waiting for each worker


def write_views(
    root: Path, config: PhantomConfig, planned: list[list[MammogramFiles]], workers: int
) -> Iterator[Written]:
    """Draw and write views in several processes.

    Args:
        root: Folder of the tree.
        config: The phantom's parameters.
        planned: The files of each view.
        workers: Number of processes; 1 draws in this one.

    Yields:
        What each view brought, in the order of the plan.
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
        workers, mp_context=_context(), initializer=_begin, initargs=(os.getpid(),)
    )
    try:
        # One view at a time: small enough that an interrupted run ends at once.
        waiting: deque[Future[Written]] = deque()
        for mammograms in planned:
            waiting.append(executor.submit(write_view, root, config, mammograms))
            if len(waiting) >= workers * _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _context() -> BaseContext:
    """Fresh processes: a fork would copy the locks of other libraries' threads.

    Only where the main program cannot be imported again (a script from standard input) is a fork
    the one way there is.
    """
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    fresh = main is None or Path(main).is_file()
    return multiprocessing.get_context("spawn" if fresh else "fork")


def _begin(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if sys.platform == "linux":
        pr_set_pdeathsig = 1  # prctl(2)
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    cv2.setNumThreads(1)
