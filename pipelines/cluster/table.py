"""Runs and tasks as lines of text, in which nothing is cut."""

from collections.abc import Iterator, Sequence

from pipelines.cluster.run_state import RunState, TaskState


def columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows under a header, each column as wide as its longest text."""
    table = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[index]) for row in table) for index in range(len(header))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def status_lines(state: RunState) -> Iterator[str]:
    """Yield what `mammo pipeline status` shows: a line for each task, and what is wrong."""
    yield f"run {state.name}: {state.state}{' (archived)' if state.archived else ''}"
    yield from (f"! {fault.line()}" for fault in state.faults)
    if state.error:
        yield f"! {state.error}"
    rows = [
        [
            task.name,
            task.partition or task.member,
            task.state,
            str(task.attempts) if task.attempts else "",
            duration(task.seconds),
        ]
        for task in state.tasks
    ]
    lines = list(columns(["task", "of", "state", "attempts", "duration"], rows))
    if rows:
        yield lines[0]
    for task, line in zip(state.tasks, lines[1:], strict=True):
        yield line
        if task.error:
            yield f"  ! {task.error}"
        if task.fault is not None:
            yield f"  ! {task.fault.line()}"


def duration(seconds: float | None) -> str:
    """Return a duration for people: `45 s`, `12 min 5 s`, `3 h 20 min`; empty for None."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Changes:
    """Turns the states of a run into lines, each change once.

    What has not begun is no change, and what KFP says of the past is not repeated.
    """

    def __init__(self) -> None:
        self._lines: set[str] = set()
        self._states: dict[str, str] = {}

    def of(self, state: RunState) -> Iterator[str]:
        """Yield the lines that are new with a state."""
        for fault in state.faults:
            yield from self._once(f"! {fault.line()}")
        for task in state.tasks:
            yield from self._of_task(task)

    def _of_task(self, task: TaskState) -> Iterator[str]:
        known = self._states.get(task.title)
        if task.fault is not None and self._is_new(task):
            yield f"[{task.title}] ! {task.fault.line()}"
        if task.state in ("WAITING", "PENDING", "OMITTED", "UNKNOWN"):
            return
        attempt = f", attempt {task.attempts}" if task.attempts > 1 else ""
        change = f"{task.state}{attempt}"
        if known == change:
            return
        self._states[task.title] = change
        ended = task.state != "RUNNING" and task.seconds is not None
        yield f"[{task.title}] {change}{f' after {duration(task.seconds)}' if ended else ''}"

    def _is_new(self, task: TaskState) -> bool:
        # The words that Kubernetes adds change from one attempt to pull an image to the next.
        key = f"{task.title} {task.attempts} {task.fault.remedy if task.fault else ''}"
        is_new = key not in self._lines
        self._lines.add(key)
        return is_new

    def _once(self, line: str) -> Iterator[str]:
        if line not in self._lines:
            self._lines.add(line)
            yield line
