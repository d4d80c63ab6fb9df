"""The state of a run and its tasks, as KFP reports it."""

from dataclasses import dataclass
from typing import Any

#: States that a run or task does not leave.
FINAL = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")


@dataclass(frozen=True)
class TaskState:
    """One task of a run.

    Attributes:
        name: Name in the graph.
        state: State that KFP reports.
        seconds: Duration, or time since the start; None before it started.
        pods: Names of its pods.
        error: Error that KFP reports; usually empty.
    """

    name: str
    state: str
    seconds: float | None
    pods: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class RunState:
    """A run as KFP reports it.

    Attributes:
        run_id: Id that KFP gave the run.
        name: Name of the run.
        state: State of the run.
        created: When it was submitted, ISO 8601.
        error: Error that KFP reports.
        tasks: Its tasks, in the order in which they were created.
    """

    run_id: str
    name: str
    state: str
    created: str
    error: str = ""
    tasks: tuple[TaskState, ...] = ()

    @property
    def final(self) -> bool:
        """Whether the run has ended."""
        return self.state in FINAL


def failed_tasks(state: RunState) -> list[TaskState]:
    """Return the tasks that failed, leaving out groups that failed with one of their tasks."""
    failed = [task for task in state.tasks if task.state == "FAILED"]
    with_pods = [task for task in failed if task.pods]
    return with_pods or failed


def run_state_of(run: Any) -> RunState:
    """Return the state of a run from a response of KFP's client."""
    details = run.run_details.task_details if run.run_details else None
    tasks = sorted(details or [], key=lambda task: str(task.create_time or ""))
    return RunState(
        run_id=str(run.run_id),
        name=str(run.display_name),
        state=str(run.state or "PENDING"),
        created=run.created_at.isoformat(timespec="seconds") if run.created_at else "",
        error=_message(run.error),
        tasks=tuple(_task_state_of(task) for task in tasks),
    )


def _task_state_of(task: Any) -> TaskState:
    started, ended = task.start_time, task.end_time
    seconds = None
    # KFP reports 1970 for a task that has not started or finished.
    if started is not None and started.year > 1970 and ended is not None and ended.year > 1970:
        seconds = max(0.0, (ended - started).total_seconds())
    pods = [task.pod_name] + [child.pod_name for child in task.child_tasks or []]
    return TaskState(
        name=str(task.display_name or task.task_id),
        state=str(task.state or "PENDING"),
        seconds=seconds,
        pods=tuple(dict.fromkeys(pod for pod in pods if pod)),
        error=_message(task.error),
    )


def _message(error: Any) -> str:
    return " ".join(str(getattr(error, "message", "") or "").split())
