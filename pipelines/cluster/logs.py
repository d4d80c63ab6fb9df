"""The logs of a run for people: its errors first, then its record, then what its steps printed."""

import re
from collections.abc import Iterable, Iterator

from pipelines.cluster.kubernetes import DEFAULT_NAMESPACE
from pipelines.cluster.run_state import RunState, TaskState
from pipelines.cluster.watch import Watcher, error_in, title_of
from pipelines.connection import ClusterError

_TAIL = 200
#: Lines of KFP's launcher, of its Python wrapper and of Argo: they are no step's own.
_OTHERS = re.compile(
    r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ |time=\S+ level=|\[KFP Executor |Error: exit status \d+$"
)
#: What begins the JSON that the launcher and the wrapper print, which ends with a line `}`.
_JSON = re.compile(r"ExecutorOutput: \{$|^\{$")


def log_lines(
    watcher: Watcher, state: RunState, step: str = "", launcher: bool = False
) -> Iterator[str]:
    """Yield the lines that `mammo pipeline logs` shows.

    Args:
        watcher: How runs are looked at.
        state: The run.
        step: Display name of a task, with or without its partition or network; empty: those that
            failed or cannot start, or all tasks if there are none.
        launcher: Whether to show the lines of KFP's launcher too.

    Raises:
        ClusterError: The run has no such task.
    """
    yield f"run {state.name}: {state.state}"
    yield from (fault.line() for fault in state.faults)
    record = watcher.record(state)
    failures = record.failures() if record is not None and state.final else {}
    for name, error in failures.items():
        yield f"step {name}: {error}"
    tasks = _selected(state, step)
    if record is not None and record.problem:
        yield f"the record of the run cannot be read: {record.problem}"
    elif record is not None and not step:
        yield from record.lines()
    any_log = False
    for task in tasks:
        for number, pod in enumerate(task.pods, 1):
            any_log = True
            log = watcher.log(state, pod)
            yield f"== {title_of(task, number)}{f', pod {pod.name}' if pod.name else ''}"
            if log is None:
                yield from _without_log(watcher, pod.name, pod.namespace)
                continue
            error = error_in(log)
            if error and error not in failures.values():
                yield f"step {task.title}: {error}"
            lines = log.splitlines()
            yield from (lines if launcher else list(lines_of_step(lines)))[-_TAIL:]
        if task.fault is not None:
            yield f"== {task.title} ({task.state}): {task.fault.line()}"
    if not any_log and not state.faults:
        yield f"no step has begun, or its pods are gone: {_command(state.run_id)}"


def lines_of_step(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a log that the step itself printed."""
    within = False
    for line in lines:
        if within:
            within = line != "}"
        elif _JSON.search(line):
            within = True
        elif not _OTHERS.match(line):
            yield line


def _selected(state: RunState, step: str) -> list[TaskState]:
    if step:
        tasks = [task for task in state.tasks if step.lower() in _names_of(task)]
        if not tasks:
            raise ClusterError(
                f"The run {state.name} has no task {step!r}",
                expected=", ".join(dict.fromkeys(task.name for task in state.tasks)),
                received=step,
            )
        return tasks
    bad = [task for task in state.tasks if task.state == "FAILED" or task.fault]
    return bad or [task for task in state.tasks if task.pods]


def _names_of(task: TaskState) -> tuple[str, ...]:
    return (task.name.lower(), task.title.lower(), task.component.lower())


def _without_log(watcher: Watcher, pod: str, namespace: str) -> Iterator[str]:
    reason = watcher.kubernetes.problem or "the pod is gone, and its log is in no archive"
    command = f": kubectl logs -n {namespace} {pod} -c main" if namespace else ""
    yield f"cannot be read ({reason}){command}"


def _command(run_id: str) -> str:
    selector = f"pipeline/runid={run_id}"
    return f"kubectl logs -n {DEFAULT_NAMESPACE} -l {selector} -c main --tail={_TAIL}"
