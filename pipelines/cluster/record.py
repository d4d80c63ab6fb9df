"""The record that a run keeps in the object store, beside what KFP and Kubernetes know of it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pipelines.cluster.run_state import RunState, TaskState

_ENDED = {"succeeded": "SUCCEEDED", "failed": "FAILED"}


@dataclass(frozen=True)
class Record:
    """The record of a run.

    Attributes:
        statuses: Step → its status, in the order in which they started.
        members: Names of the networks of an ensemble, in the order of the recipe.
        problem: Why it cannot be read; empty where it can.
    """

    statuses: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    members: tuple[str, ...] = ()
    problem: str = ""

    def failures(self) -> dict[str, str]:
        """Return step → its error, for each that failed and was not made up for, the first first.

        A step that never reported its end was killed; only of an ended run is that certain.
        """
        from mammo_core.runs.summary import errors_of

        return {name: str(error) for name, error in errors_of(self.statuses).items() if error}

    def reported(self) -> dict[str, str]:
        """Return the failures that the steps themselves reported."""
        return {
            name: error
            for name, error in self.failures().items()
            if self.statuses[name]["state"] == "failed"
        }

    def lines(self) -> list[str]:
        """Return a line for each step."""
        lines = []
        for name, status in self.statuses.items():
            error = f": {status['error']}" if status.get("error") else ""
            lines.append(f"{name}: {status['state']} after {status['seconds']:.0f} s{error}")
        return lines


def read_record(store: str, run_id: str) -> Record:
    """Return the record of a run.

    Args:
        store: URI of the store.
        run_id: Id of the run in the store: the parameter `run_id`, or the id of KFP.
    """
    from mammo_core.errors import MammoError
    from mammo_core.runs import Run
    from mammo_core.store import open_store

    try:
        run = Run(open_store(store), run_id)
        statuses = run.statuses()
        members = tuple(run.member_names())
    except (MammoError, OSError) as error:
        return Record(problem=str(error))
    return Record(statuses, members)


def record_of(state: RunState, store: str = "", record_id: str = "") -> Record | None:
    """Return the record of a run, if there is a way to it; None where there is none.

    Args:
        state: The run.
        store: URI of the store; empty: that of the run, if this machine has credentials for it.
        record_id: Id of the run in the store; empty: as the run was started.
    """
    parameters = state.parameters or {}
    if not store and os.environ.get("MAMMO_S3_ENDPOINT"):
        store = str(parameters.get("store") or "s3://mammo")
    if not store:
        return None
    return read_record(store, record_id or str(parameters.get("run_id") or state.run_id))


def with_record(state: RunState, record: Record) -> RunState:
    """Return the state of a run with what its record adds.

    The record has the errors of the steps, the names of networks, and the end of steps that KFP
    has lost sight of.
    """
    return replace(
        state, tasks=tuple(_with_status(task, record, state.final) for task in state.tasks)
    )


def _with_status(task: TaskState, record: Record, ended: bool) -> TaskState:
    member = task.member
    if task.member and record.members:
        position = int(task.member.partition(" ")[0]) - 1
        member = record.members[position] if position < len(record.members) else task.member
    status = record.statuses.get(_step_of(task, member), {})
    state = _ENDED.get(str(status.get("state")), task.state)
    # Of a step without pods, only the record says how it ended.
    is_missing = ended and bool(status) and (task.state == "UNKNOWN" or not task.attempts)
    return replace(
        task,
        member=member,
        error=str(status.get("error") or "") if task.state != "SUCCEEDED" else "",
        state=state if is_missing else task.state,
        seconds=status.get("seconds", task.seconds) if is_missing else task.seconds,
    )


def _step_of(task: TaskState, member: str) -> str:
    """Return the name of the status of a task in the record."""
    name = task.component
    if task.partition:
        index, _, total = task.partition.partition(" of ")
        return f"{name.removesuffix('-partition')}-{int(index) - 1}-of-{total}"
    return f"{name}-{member}" if member else name
