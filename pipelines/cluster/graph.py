"""The graph of a compiled pipeline: its tasks by display name, in the order of the work."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: Parameters of a component that say which iteration of a loop a task is; a loop over neither.
PARTITION, MEMBER, ITERATION = "partition", "member", "iteration"


@dataclass(frozen=True)
class GraphTask:
    """A task of the graph that runs a step, and no group of tasks.

    Attributes:
        path: Keys of the groups that it is in, and its own.
        name: Display name.
        loops: Number of groups of the path that are loops.
        optional: Whether a run can succeed without it: under a condition, or after everything else.
        iterates: What differs between its iterations: `partition`, `member`, or `iteration` for
            anything else; empty outside of loops.
        component: Name of its component.
    """

    path: tuple[str, ...]
    name: str
    loops: int = 0
    optional: bool = False
    iterates: str = ""
    component: str = ""


@dataclass(frozen=True)
class Group:
    """A group of tasks: the whole pipeline, a nested one, a loop, a condition, an exit handler.

    Attributes:
        key: Key of the group in the group that it is in; empty for the pipeline.
        tasks: Its tasks and groups, in the order of the work.
        loop: Whether it is a loop.
        handler: Key of the group after which it runs whatever happened; only of an exit handler's
            task, which is no group.
    """

    key: str
    tasks: tuple["Group | Leaf", ...]
    loop: bool = False
    handler: str = ""


@dataclass(frozen=True)
class Leaf:
    """A task that runs a step, in the group that it is in.

    Attributes:
        key: Key of the task.
        handler: Key of the group after which it runs whatever happened; empty for most.
        task: The task as people see it.
    """

    key: str
    handler: str
    task: GraphTask


def graph_of(spec: Mapping[str, Any]) -> Group:
    """Return the graph of a compiled pipeline.

    Args:
        spec: The pipeline's specification, with `root` and `components`; also as KFP returns it,
            within `pipeline_spec`.
    """
    spec = spec.get("pipeline_spec") or spec
    components = spec.get("components") or {}
    dag = (spec.get("root") or {}).get("dag") or {}
    return Group("", tuple(_members(dag, components, GraphTask((), ""))))


def tasks_of(group: Group) -> list[GraphTask]:
    """Return the tasks of a graph that run steps, in the order of the work."""
    tasks: list[GraphTask] = []
    for member in group.tasks:
        tasks += [member.task] if isinstance(member, Leaf) else tasks_of(member)
    return tasks


def _members(
    dag: Mapping[str, Any], components: Mapping[str, Any], above: GraphTask
) -> Iterator[Group | Leaf]:
    tasks = dag.get("tasks") or {}
    for key in _in_order(tasks):
        definition = tasks[key]
        reference = (definition.get("componentRef") or {}).get("name", "")
        component = components.get(reference) or {}
        is_loop = "parameterIterator" in definition or "artifactIterator" in definition
        trigger = definition.get("triggerPolicy") or {}
        dependencies = definition.get("dependentTasks") or []
        whatever = trigger.get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED"
        handler = dependencies[0] if whatever and len(dependencies) == 1 else ""
        inputs = (component.get("inputDefinitions") or {}).get("parameters") or {}
        iterates = next((name for name in (PARTITION, MEMBER) if name in inputs), ITERATION)
        task = GraphTask(
            path=(*above.path, key),
            name=(definition.get("taskInfo") or {}).get("name") or key,
            loops=above.loops + is_loop,
            optional=above.optional or "condition" in trigger or bool(handler),
            iterates=iterates if above.loops or is_loop else "",
            component=reference.removeprefix("comp-"),
        )
        if "dag" in component:
            yield Group(key, tuple(_members(component["dag"], components, task)), is_loop, handler)
        else:
            yield Leaf(key, handler, task)


def _in_order(tasks: Mapping[str, Any]) -> list[str]:
    """Return the keys of tasks, each after those that it depends on.

    Of several that could come next, the one with the fewest tasks before it comes first.
    """
    depths: dict[str, int] = {}

    def depth(key: str, above: tuple[str, ...] = ()) -> int:
        if key not in depths:
            before = [name for name in tasks[key].get("dependentTasks") or [] if name in tasks]
            depths[key] = max(
                (1 + depth(name, (*above, key)) for name in before if name not in above), default=0
            )
        return depths[key]

    return sorted(tasks, key=lambda key: (depth(key), key))
