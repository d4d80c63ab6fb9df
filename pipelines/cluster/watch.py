"""A look at a run: KFP, Kubernetes and the record of the run together."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mammo_core.errors import MammoError, StepFailedError
from pipelines.cluster.faults import fault_of_pod
from pipelines.cluster.kubernetes import Kubernetes, Snapshot
from pipelines.cluster.record import Record, record_of, with_record
from pipelines.cluster.run_state import Pod, RunState, TaskState, failed_tasks, run_state_of
from pipelines.connection import ClusterError

if TYPE_CHECKING:
    from pipelines.client import KfpClient

#: What a step prints of its error before it ends: `[index] error: …`; and KFP's driver.
_ERROR = re.compile(
    r"^(?:\[[^\]]+\] error: |F\d{4} [^\]]*\] KFP driver: .*? failed: )(.+)$", re.MULTILINE
)
#: An exception that nothing caught: the line after its traceback.
_EXCEPTION = re.compile(
    r"^Traceback \(most recent call last\):\n(?:(?:[ \t].*)?\n)+(\S.*)$", re.MULTILINE
)


class Watcher:
    """Looks at runs.

    Args:
        client: The client of KFP.
        store: URI of the store with the records; empty: that of each run, where it can be read.
        record_id: Id of the run in the store; empty: as the run was started.
    """

    def __init__(self, client: "KfpClient", store: str = "", record_id: str = "") -> None:
        self._client = client
        self._store, self._record_id = store, record_id
        self._kubernetes = Kubernetes([client.namespace or ""])
        self._spec: dict[str, Any] = {}
        self._spec_of = ""

    @property
    def kubernetes(self) -> Kubernetes:
        """The Kubernetes API."""
        return self._kubernetes

    def look(self, run_id: str) -> RunState:
        """Return the state of a run.

        Raises:
            ClusterError: There is no such run.
        """
        run = self._client.run_of(run_id)
        if self._spec_of != run_id:
            self._spec, self._spec_of = self._client.spec_of(run), run_id
        snapshot = self._with_warnings(self._kubernetes.snapshot(run_id))
        state = run_state_of(run, self._spec, snapshot)
        record = self.record(state) if state.final else None
        return with_record(state, record) if record is not None else state

    def record(self, state: RunState) -> Record | None:
        """Return the record of a run; None where nobody says in which store it is."""
        return record_of(state, self._store, self._record_id)

    def snapshot(self, run_id: str) -> Snapshot:
        """Return what Kubernetes knows of a run."""
        return self._kubernetes.snapshot(run_id)

    def failure(self, state: RunState) -> tuple[str, str] | None:
        """Return the step whose error ended a run, and the error as it printed it.

        It comes from the record of the run, or from the log of the step.
        """
        record = self.record(state)
        if record is not None:
            for step, error in record.reported().items():
                return step, error
        for task in failed_tasks(state):
            for pod in reversed(task.pods):
                error = error_in(self.log(state, pod) or "")
                if error:
                    return task.title, error
        return None

    def log(self, state: RunState, pod: Pod) -> str | None:
        """Return the log of a step: from its pod, or from the archive; None where there is none."""
        if pod.name and pod.namespace:
            text = self._kubernetes.log(pod.name, pod.namespace)
            if text:
                return text
        for name in _names_of(pod):
            text = self._client.log(state.run_id, name, pod.namespace, state.created[:10])
            if text:
                return text
        return None

    def _with_warnings(self, snapshot: Snapshot) -> Snapshot:
        """Add the warnings about pods that wait for no reason that they show themselves."""
        pods = []
        for pod in snapshot.pods:
            waits = (pod.get("status") or {}).get("phase") == "Pending"
            warns = waits and fault_of_pod(pod) is None
            pods.append({**pod, "warnings": self._kubernetes.warnings(pod)} if warns else pod)
        return replace(snapshot, pods=pods)


def error_in(log: str) -> str:
    """Return the last error that a step printed, in its three parts; empty where it printed none.

    An exception that nothing caught becomes one.
    """
    errors = _ERROR.findall(log)
    if errors:
        return str(errors[-1]).strip()
    exceptions = _EXCEPTION.findall(log)
    if not exceptions:
        return ""
    return (
        "The step ended with an exception. Expected a result, or an error in words. Received "
        f"{str(exceptions[-1]).strip().rstrip('.')}. Hint: a bug, or a pipeline and container "
        "images of different versions; `mammo pipeline logs` shows the traceback."
    )


def _names_of(pod: Pod) -> Iterator[str]:
    """Yield what the pod of a node may be called: its name, else Argo's two templates of a step."""
    if pod.name:
        yield pod.name
        return
    workflow, _, number = pod.id.rpartition("-")
    for template in ("retry-system-container-impl", "system-container-impl"):
        yield f"{workflow}-{template}-{number}"


def title_of(task: TaskState, attempt: int) -> str:
    """Return the heading of the log of an attempt at a task."""
    return f"{task.title} ({task.state}), attempt {attempt} of {len(task.pods)}"


def failure_of(watcher: Watcher, state: RunState) -> MammoError:
    """Return the error of a run that did not succeed: that of the step itself where there is one.

    Args:
        watcher: How runs are looked at.
        state: The run, at its end.
    """
    if state.state == "LOST":
        return ClusterError(
            f"The run {state.name} is lost: KFP says RUNNING, and its Workflow was deleted",
            expected="a Workflow of the run in the cluster of KUBECONFIG",
            received="none, and no pods",
            hint="deleting or changing a schedule deletes the Workflows of its runs; run it again, "
            "what is finished is reused (or KUBECONFIG names another cluster)",
        )
    if state.state == "TERMINATED":
        ended = [task.title for task in state.tasks if task.state == "TERMINATED"]
        return ClusterError(
            f"The run {state.name} was terminated",
            expected="SUCCEEDED",
            received=f"an end by hand during {', '.join(ended)}" if ended else "an end by hand",
            hint=f"`mammo pipeline retry {state.run_id}` goes on with it",
        )
    failure = watcher.failure(state)
    if failure is not None:
        return StepFailedError(*failure)
    failed = failed_tasks(state)
    names = ", ".join(task.title for task in failed) or "no task is named"
    for name, fault in [
        *((task.title, task.fault) for task in failed if task.fault is not None),
        *((state.name, fault) for fault in state.faults),
    ]:
        return ClusterError(
            f"{name}: {fault.reason}",
            expected=fault.expected,
            received=fault.received,
            hint=fault.remedy,
        )
    return ClusterError(
        f"The run {state.name} ended as {state.state} ({names})",
        expected="SUCCEEDED",
        received=state.error or "no message from KFP",
        hint=f"`mammo pipeline logs {state.run_id}` shows the logs of the steps",
    )
