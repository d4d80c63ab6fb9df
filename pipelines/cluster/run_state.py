"""A run and its tasks as people see them: one line for a task, whatever is behind it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pipelines.cluster.faults import Fault, fault_of_message, fault_of_pod
from pipelines.cluster.graph import MEMBER, PARTITION, GraphTask, Group, graph_of, tasks_of
from pipelines.cluster.kubernetes import Snapshot, node_name_of
from pipelines.cluster.nodes import (
    Node,
    Spot,
    nodes_of_details,
    nodes_of_workflow,
    spot_of,
)

#: States that a run or task does not leave.
FINAL = ("SUCCEEDED", "SKIPPED", "OMITTED", "FAILED", "CANCELED", "TERMINATED", "UNKNOWN", "LOST")
#: States of a task that has not begun, or was left out.
_IDLE = ("WAITING", "SKIPPED", "OMITTED", "UNKNOWN")


@dataclass(frozen=True)
class Pod:
    """A pod of a task.

    Attributes:
        name: Its name.
        namespace: Its namespace.
        id: Argo's id of its node, by which KFP knows it.
    """

    name: str
    namespace: str
    id: str


@dataclass(frozen=True)
class TaskState:
    """One task of a run.

    Attributes:
        name: Display name in the graph.
        state: WAITING, PENDING, RUNNING, SUCCEEDED, FAILED; SKIPPED by a condition; OMITTED after a
            failure; UNKNOWN where nothing says how it ended.
        seconds: Duration, or time since the start; None before it started.
        attempts: Number of its pods, one an attempt.
        partition: Its partition, `1 of 4`; empty outside of such a loop.
        member: The network that it trains, by name or `1 of 2`; empty without an ensemble.
        fault: What Kubernetes says is wrong with it; None where nothing is.
        pods: Its pods, as far as they are known.
        component: Name of its component.
        error: The error that the step itself reported, in its three parts.
    """

    name: str
    state: str
    seconds: float | None = None
    attempts: int = 0
    partition: str = ""
    member: str = ""
    fault: Fault | None = None
    pods: tuple[Pod, ...] = ()
    component: str = ""
    error: str = ""

    @property
    def title(self) -> str:
        """Its name, with its partition or network."""
        return " ".join(filter(None, (self.name, self.partition, self.member)))


@dataclass(frozen=True)
class RunState:
    """A run as people see it.

    Attributes:
        run_id: Id that KFP gave the run.
        name: Name of the run.
        state: State of the run; TERMINATED where KFP says FAILED after somebody terminated it, LOST
            where its Workflow was deleted and KFP says RUNNING.
        created: When it was submitted, ISO 8601.
        error: Error that KFP reports; usually empty.
        tasks: Its tasks, in the order of the graph.
        faults: What is wrong with the run as a whole.
        parameters: Parameters that it was started with.
        archived: Whether it is archived.
    """

    run_id: str
    name: str
    state: str
    created: str
    error: str = ""
    tasks: tuple[TaskState, ...] = ()
    faults: tuple[Fault, ...] = ()
    parameters: Mapping[str, Any] | None = None
    archived: bool = False

    @property
    def final(self) -> bool:
        """Whether the run has ended."""
        return self.state in FINAL


def failed_tasks(state: RunState) -> list[TaskState]:
    """Return the tasks that failed."""
    return [task for task in state.tasks if task.state == "FAILED"]


def run_state_of(
    run: Any, spec: Mapping[str, Any] | None = None, snapshot: Snapshot | None = None
) -> RunState:
    """Return the state of a run.

    Args:
        run: The run, as KFP's client returns it.
        spec: The specification of its pipeline; None: without its tasks.
        snapshot: What Kubernetes knows of it.
    """
    snapshot = snapshot or Snapshot()
    state = _state_of(run)
    ended = state in FINAL
    if not ended and snapshot.sure and snapshot.workflow is None and not snapshot.pods:
        state = "LOST"
    graph = graph_of(spec or {})
    nodes = _nodes(run, graph, snapshot)
    parameters = (run.runtime_config.parameters if run.runtime_config else None) or {}
    tasks, faults = _Tasks(nodes, snapshot.pods, state, parameters).of(graph)
    return RunState(
        run_id=str(run.run_id),
        name=str(run.display_name),
        state=state,
        created=run.created_at.isoformat(timespec="seconds") if run.created_at else "",
        error=" ".join(str(getattr(run.error, "message", "") or "").split()),
        tasks=tuple(tasks),
        faults=tuple(faults),
        parameters=parameters,
        archived=str(run.storage_state) == "ARCHIVED",
    )


def _state_of(run: Any) -> str:
    state = str(run.state or "PENDING")
    history = [str(entry.state) for entry in run.state_history or []]
    if state in ("FAILED", "CANCELED") and "CANCELING" in history:
        # KFP says CANCELING, then FAILED: only the history tells.
        return "TERMINATED" if history.index("CANCELING") > _last_start(history) else state
    return {"CANCELING": "TERMINATING", "CANCELED": "TERMINATED"}.get(state, state)


def _last_start(history: list[str]) -> int:
    """Return where a run that was retried began again in its history."""
    return max((i for i, state in enumerate(history) if state == "RUNNING"), default=-1)


def _nodes(run: Any, graph: Group, snapshot: Snapshot) -> list[Node]:
    """Return the nodes of a run; Kubernetes knows more than KFP, which loses those of long runs."""
    if snapshot.workflow is not None:
        nodes = nodes_of_workflow(snapshot.workflow)
        if nodes:
            return nodes
    details = run.run_details.task_details if run.run_details else None
    return nodes_of_details(details or [], graph)


class _Tasks:
    """The tasks of a run."""

    def __init__(
        self,
        nodes: list[Node],
        pods: list[dict[str, Any]],
        state: str,
        parameters: Mapping[str, Any],
    ) -> None:
        self._spots = [(node, node.spot) for node in nodes]
        self._pods = [(pod, spot_of(node_name_of(pod))) for pod in pods if node_name_of(pod)]
        self._state = state
        self._parameters = parameters
        self._unused: set[str] = set()

    def of(self, graph: Group) -> tuple[list[TaskState], list[Fault]]:
        """Return the tasks of a graph in its order, and what is wrong with the run as a whole."""
        tasks = []
        for task in tasks_of(graph):
            instances = self._iterations_of(task)
            for iterations in instances or [()]:
                tasks.append(self._task(task, iterations, len(instances)))
        return tasks, list(dict.fromkeys(self._faults_of_groups(tasks_of(graph))))

    def _iterations_of(self, task: GraphTask) -> list[tuple[int, ...]]:
        if not task.loops:
            return [()]
        spots = (spot for _, spot in [*self._spots, *self._pods])
        return sorted(
            {
                spot.iterations
                for spot in spots
                if len(spot.iterations) == task.loops and _is_within(task.path, spot)
            }
        )

    def _task(self, task: GraphTask, iterations: tuple[int, ...], count: int) -> TaskState:
        mine = [
            (node, spot)
            for node, spot in self._spots
            if spot.path == task.path and spot.iterations == iterations
        ]
        pods = [
            pod
            for pod, spot in self._pods
            if (spot.path, spot.iterations) == (task.path, iterations)
        ]
        node = _latest(node for node, spot in mine if spot.role == "task" and not spot.attempt)
        executors = {node.name for node, spot in mine if node.pod and spot.role == "executor"}
        executors |= {
            node_name_of(pod) for pod in pods if spot_of(node_name_of(pod)).role == "executor"
        }
        state = self._state_of(task, iterations, node, mine)
        fault = self._fault(mine, pods, state)
        labels = self._labels(task, iterations, count)
        return TaskState(
            name=task.name,
            state=state,
            seconds=_seconds(node) if state not in _IDLE else None,
            attempts=len(executors),
            fault=fault,
            pods=tuple(_pods_of(pods, mine, state)),
            component=task.component,
            **labels,
        )

    def _state_of(
        self,
        task: GraphTask,
        iterations: tuple[int, ...],
        node: Node | None,
        mine: list[tuple[Node, Spot]],
    ) -> str:
        driver = _latest(node for node, spot in mine if spot.role == "driver" and not spot.attempt)
        state = "WAITING"
        if driver is not None and driver.state == "FAILED":
            state = "FAILED"
        elif node is not None:
            state = node.state
            pending = [other.state for other, spot in mine if other.pod and spot.role == "executor"]
            if state == "RUNNING" and pending and all(item == "PENDING" for item in pending):
                state = "PENDING"
        elif driver is not None:
            state = "PENDING"
        else:
            state = self._state_above(task, iterations) or state
        if state == "FAILED" and self._state == "TERMINATED":
            # Argo ends the steps of a terminated run by their deadline; KFP leaves the words out.
            words = " ".join(filter(None, (other.message for other, _ in mine)))
            return "TERMINATED" if "deadline" in words or not words else state
        if state in FINAL or self._state not in FINAL:
            return state
        # What KFP still calls RUNNING after the end of a run is left over.
        if self._state == "SUCCEEDED" and not task.optional:
            return "SUCCEEDED"
        return "OMITTED" if state == "WAITING" and self._state != "SUCCEEDED" else "UNKNOWN"

    def _state_above(self, task: GraphTask, iterations: tuple[int, ...]) -> str:
        """Return the state of a group that was left out, with all its tasks."""
        for node, spot in self._spots:
            above = spot.role == "task" and task.path[: len(spot.path)] == spot.path
            same = iterations[: len(spot.iterations)] == spot.iterations
            if above and spot.path and same and node.state in ("SKIPPED", "OMITTED"):
                return node.state
        return ""

    def _fault(
        self, mine: list[tuple[Node, Spot]], pods: list[dict[str, Any]], state: str
    ) -> Fault | None:
        """Return why a task does not start or failed: of its latest pod, or in Argo's words."""
        if state in ("SUCCEEDED", *_IDLE):
            return None
        pods = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp") or ""))
        for pod in reversed(pods):
            fault = fault_of_pod(pod, pod.get("warnings"))
            if fault is not None:
                return fault.as_of(state in FINAL)
        fault = next(filter(None, (fault_of_message(node.message) for node, _ in mine)), None)
        return fault and fault.as_of(state in FINAL)

    def _faults_of_groups(self, tasks: list[GraphTask]) -> Iterator[Fault]:
        """Yield what is wrong with pods that belong to no task: the drivers of groups."""
        paths = {task.path for task in tasks}
        for pod, spot in self._pods:
            fault = fault_of_pod(pod, pod.get("warnings")) if spot.path not in paths else None
            if fault is not None and self._state not in ("SUCCEEDED", "TERMINATED"):
                yield fault.as_of(self._state in FINAL)
        for node, spot in self._spots:
            fault = fault_of_message(node.message) if spot.path not in paths else None
            if fault is not None and self._state != "SUCCEEDED":
                # Each attempt is one pod more, of another name.
                fault = replace(fault, received=fault.received.partition(": ")[2])
                yield fault.as_of(self._state in FINAL)

    def _labels(self, task: GraphTask, iterations: tuple[int, ...], count: int) -> dict[str, str]:
        if not iterations:
            return {}
        position = iterations[-1] + 1
        if task.iterates == MEMBER:
            return {"member": f"{position} of {count}" if count > 1 else ""}
        given = self._parameters.get("partitions") if task.iterates == PARTITION else None
        total = max(count, given if isinstance(given, int) else 0)
        return {"partition": f"{position} of {total}"}


def _is_within(path: tuple[str, ...], spot: Spot) -> bool:
    """Whether a node is of a task, or of a group that the task is in."""
    return path[: len(spot.path)] == spot.path


def _latest(nodes: Iterable[Node]) -> Node | None:
    """Return the node of the last attempt at the groups above."""
    never = datetime.min.replace(tzinfo=UTC)
    return max(nodes, key=lambda node: (node.started or never, node.name), default=None)


def _seconds(node: Node | None) -> float | None:
    if node is None or node.started is None:
        return None
    finished = node.finished or datetime.now(UTC)
    return max(0.0, (finished - node.started).total_seconds())


def _pods_of(
    pods: list[dict[str, Any]], mine: list[tuple[Node, Spot]], state: str
) -> Iterator[Pod]:
    """Yield the pods of a task: those that are there, else those that KFP or Argo name.

    Of a task that failed before it had one, it is the pod of KFP's driver.
    """
    by_role: dict[str, dict[str, Pod]] = {"executor": {}, "driver": {}}
    for node, spot in mine:
        if node.pod and spot.role in by_role:
            by_role[spot.role][node.id] = Pod(node.pod_name, "", node.id)
    for pod in pods:
        metadata = pod["metadata"]
        role = spot_of(node_name_of(pod)).role
        id = str((metadata.get("annotations") or {}).get("workflows.argoproj.io/node-id") or "")
        if role in by_role:
            by_role[role][id] = Pod(metadata["name"], metadata["namespace"], id)
    yield from (by_role["executor"] or (by_role["driver"] if state == "FAILED" else {})).values()
