"""The same work on many items, in several processes that end with this one."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD: Final = 8  # items waiting for each process


def map_in_processes(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    prepare: Callable[[], object],
) -> Iterator[Result]:
    """Call a function for each item, in several processes.

    Args:
        function: Called with an item; both are pickled.
        items: The items.
        workers: Number of processes.
        prepare: Called once in each process, before its first item.

    Yields:
        The result for each item, in order.

    Raises:
        concurrent.futures.process.BrokenProcessPool: A process died.
    """
    executor = ProcessPoolExecutor(
        workers, mp_context=_context(), initializer=_begin_worker, initargs=(os.getpid(), prepare)
    )
    try:
        # One item a task, so that an interrupted run ends at once.
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(executor.submit(function, item))
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


def _begin_worker(parent: int, prepare: Callable[[], object]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    if sys.platform == "linux":
        pr_set_pdeathsig = 1  # prctl(2)
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    prepare()
