"""The nodes of a run as Argo numbers them, from its Workflow or from KFP's answer.

A node's name is the path to it: `wf(0).root(0).index(0).executor(0)`. Each level has its own
attempts, a loop one `iteration-iterations(i:v)` for each iteration, and every task a driver
before it, `index-driver`. KFP's answer has neither the names nor links to a parent, but the ids of
each node's children; an id is a hash of the name.

Source: `NodeID` in Argo's pkg/apis/workflow/v1alpha1; the recordings in tests/pipelines/recordings.
"""

import base64
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mammo_core.documents import inflate
from pipelines.cluster.graph import Group, Leaf

#: Argo's phase → state of KFP.
_STATES = {
    "Pending": "PENDING",
    "Running": "RUNNING",
    "Succeeded": "SUCCEEDED",
    "Failed": "FAILED",
    "Error": "FAILED",
    "Skipped": "SKIPPED",
    "Omitted": "OMITTED",
}
_ITERATIONS, _ITEM, _ON_EXIT, _DRIVER = (
    "iteration-iterations",
    "iteration-item",
    "onExit",
    "-driver",
)
_SEGMENT = re.compile(r"(?P<key>[^.()]+)(?P<numbers>(?:\([^()]*\))*)")
#: The largest Workflow that is unpacked (bytes).
_MAXIMUM_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Spot:
    """What the name of a node says.

    Attributes:
        path: Keys of the groups and of the task.
        iterations: Indices of the iterations of the loops in the path, from 0.
        role: `task`, `driver` or `executor`.
        attempt: Whether it is one attempt, and not all attempts together.
    """

    path: tuple[str, ...]
    iterations: tuple[int, ...]
    role: str
    attempt: bool


@dataclass(frozen=True)
class Node:
    """A node of a run.

    Attributes:
        name: Argo's name.
        state: State as KFP names it.
        started: When it started.
        finished: When it ended.
        message: What Argo says of it.
        pod: Whether it is a pod.
        id: Argo's id.
        template: Name of its template, as far as it is known.
    """

    name: str
    state: str
    started: datetime | None = None
    finished: datetime | None = None
    message: str = ""
    pod: bool = False
    id: str = ""
    template: str = ""

    @property
    def pod_name(self) -> str:
        """The name of its pod; empty where it is not known."""
        workflow, _, number = self.id.rpartition("-")
        return f"{workflow}-{self.template}-{number}" if self.template else ""

    @property
    def spot(self) -> Spot:
        """What its name says."""
        return spot_of(self.name)


def spot_of(name: str) -> Spot:
    """Return what the name of a node says."""
    path: list[str] = []
    iterations: list[int] = []
    role, numbers = "task", ""
    segments = _SEGMENT.findall(name)
    for key, numbers in segments[1:]:  # the first is the Workflow
        role = "task"
        if key == _ON_EXIT:
            path.pop()
        elif key == _ITERATIONS:
            index = re.match(r"\((\d+):", numbers)
            if index:
                iterations.append(int(index[1]))
            numbers = numbers[numbers.find(")") + 1 :] if index else numbers
        elif key == "executor":
            role = "executor"
        elif key not in (_ITEM, "root"):
            path.append(key)
    if path and role == "task" and path[-1].endswith(_DRIVER):
        path[-1], role = path[-1].removesuffix(_DRIVER), "driver"
    return Spot(tuple(path), tuple(iterations), role, bool(numbers))


def node_id(workflow: str, name: str) -> str:
    """Return the id of a node: the 32-bit FNV-1a hash of its name, after that of the Workflow."""
    if name == workflow:
        return name
    value = 0x811C9DC5
    for byte in name.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return f"{workflow}-{value}"


def nodes_of_workflow(workflow: Mapping[str, Any]) -> list[Node]:
    """Return the nodes of a Workflow, also of a long one, whose nodes are compressed."""
    status = workflow.get("status") or {}
    nodes = status.get("nodes") or {}
    if not nodes and status.get("compressedNodes"):
        packed = base64.b64decode(status["compressedNodes"])
        nodes = json.loads(inflate(packed, _MAXIMUM_BYTES))
    return [
        Node(
            name=str(node.get("name", "")),
            state=_STATES.get(node.get("phase", ""), "PENDING"),
            started=time_of(node.get("startedAt")),
            finished=time_of(node.get("finishedAt")),
            message=str(node.get("message") or ""),
            pod=node.get("type") == "Pod",
            id=str(node.get("id", "")),
            template=str(node.get("templateName") or ""),
        )
        for node in nodes.values()
    ]


def nodes_of_details(details: list[Any], graph: Group) -> list[Node]:
    """Return the nodes that KFP lists, with the names that Argo gave them.

    Args:
        details: The task details of a run, as KFP's client returns them.
        graph: The graph of the run's pipeline.
    """
    return list(_Details(details).nodes(graph))


def time_of(value: Any) -> datetime | None:
    """Return a time, or None for those that KFP and Argo write for none: 0001 and 1970."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value if isinstance(value, datetime) and value.year > 1970 else None


class _Details:
    """Names for the tasks that KFP lists: the known names are tried, from the root down."""

    def __init__(self, details: list[Any]) -> None:
        self._by_name: dict[str, list[Any]] = defaultdict(list)
        self._children: dict[str, set[str]] = {}
        workflows: dict[str, int] = defaultdict(int)
        for task in details:
            self._by_name[str(task.display_name)].append(task)
            ids = {str(child.pod_name) for child in task.child_tasks or [] if child.pod_name}
            self._children[str(task.task_id)] = ids
            for id in ids:
                workflows[id.rpartition("-")[0]] += 1
        self._workflow = max(workflows, key=lambda name: workflows[name], default="")

    def nodes(self, graph: Group) -> Iterator[Node]:
        """Yield the nodes of a graph."""
        if not self._workflow:
            return
        yield from self._retried(self._workflow, self._workflow)
        for start in self._attempts(self._workflow, self._workflow):
            yield from self._driver(f"{start}.root")
            root = f"{start}.root"
            yield from self._retried(root, "root")
            for attempt in self._attempts(root, "root"):
                yield from self._within(attempt, graph)

    def _within(self, parent: str, group: Group) -> Iterator[Node]:
        for member in group.tasks:
            for above in self._parents(parent, member.handler):
                yield from self._member(f"{above}.{member.key}", member)

    def _parents(self, parent: str, handler: str) -> Iterator[str]:
        if not handler:
            yield parent
            return
        name = f"{parent}.{handler}.{_ON_EXIT}"
        yield from self._attempts(name, f"{handler}.{_ON_EXIT}")

    def _member(self, name: str, member: Group | Leaf) -> Iterator[Node]:
        yield from self._driver(name)
        nodes = list(self._retried(name, member.key))
        yield from nodes or self._never_begun(name, member.key)
        for attempt in self._attempts(name, member.key):
            if isinstance(member, Leaf):
                executor = f"{attempt}.executor"
                yield from self._retried(executor, "executor")
                for pod in self._attempts(executor, "executor"):
                    yield Node(pod, "", pod=True, id=node_id(self._workflow, pod))
            elif not member.loop:
                yield from self._within(attempt, member)
            else:
                yield from self._iterations(f"{attempt}.{_ITERATIONS}", member)

    def _iterations(self, name: str, member: Group) -> Iterator[Node]:
        index = 0
        while f"{_ITERATIONS}({index}:{index})" in self._by_name:
            key = f"{_ITERATIONS}({index}:{index})"
            for attempt in self._attempts(f"{name}({index}:{index})", key):
                item = f"{attempt}.{_ITEM}"
                yield from self._driver(item)
                yield from self._retried(item, _ITEM)
                for inner in self._attempts(item, _ITEM):
                    yield from self._within(inner, member)
            index += 1

    def _driver(self, name: str) -> Iterator[Node]:
        key = name.rpartition(".")[2]
        yield from self._retried(f"{name}{_DRIVER}", f"{key}{_DRIVER}")

    def _retried(self, name: str, key: str) -> Iterator[Node]:
        task = self._task(name, key)
        if task is not None:
            yield self._node(name, task)

    def _node(self, name: str, task: Any) -> Node:
        started, finished = time_of(task.start_time), time_of(task.end_time)
        state = str(task.state or "")
        if not state or state == "RUNTIME_STATE_UNSPECIFIED":
            state = "OMITTED"
        error = " ".join(str(getattr(task.error, "message", "") or "").split())
        return Node(name, state, started, finished, error, id=node_id(self._workflow, name))

    def _never_begun(self, name: str, key: str) -> Iterator[Node]:
        """Yield the node of a task that was left out: it has no attempts to know it by."""
        left_out = [task for task in self._by_name[key] if not self._is_begun(key, task)]
        if left_out and len(left_out) == len(self._by_name[key]):
            yield self._node(name, left_out[0])

    def _is_begun(self, key: str, task: Any) -> bool:
        return task.state not in (None, "", "RUNTIME_STATE_UNSPECIFIED", "SKIPPED")

    def _task(self, name: str, key: str) -> Any:
        first = node_id(self._workflow, f"{name}(0)")
        for task in self._by_name[key]:
            if first in self._children[str(task.task_id)]:
                return task
        return None

    def _attempts(self, name: str, key: str) -> list[str]:
        """Return the names of the attempts of a node."""
        task = self._task(name, key)
        attempts: list[str] = []
        if task is not None:
            ids = self._children[str(task.task_id)]
            while node_id(self._workflow, f"{name}({len(attempts)})") in ids:
                attempts.append(f"{name}({len(attempts)})")
        return attempts
