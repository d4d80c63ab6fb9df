"""Draw what is planned, each process with one OpenCV thread, in the order of the plan."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

#: Views that are drawn in this process.
_TOO_FEW: Final = 2
_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def map_planned(
    write: Callable[[_Task], _Result], planned: Sequence[_Task], workers: int | None
) -> Iterator[_Result]:
    """Yield the result of each, in order; the results do not depend on the number of processes.

    Args:
        write: Draws and writes one.
        planned: What is to be drawn.
        workers: Processes; None for one per processor.
    """
    import cv2

    from mammo_core.processes.pool import map_in_processes

    count = min(workers or os.cpu_count() or 1, len(planned))
    if count > 1 and len(planned) > _TOO_FEW:
        yield from map_in_processes(write, planned, workers=count, prepare=_use_one_thread)
        return
    threads = cv2.getNumThreads()
    _use_one_thread()
    try:
        yield from map(write, planned)
    finally:
        cv2.setNumThreads(threads)


def _use_one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)
