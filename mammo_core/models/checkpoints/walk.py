"""Visiting what a checkpoint contains, each container once."""

from collections.abc import Iterator
from typing import Any

from mammo_core.models.checkpoints.tensors import Tensor, refused


def containers_within(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every dictionary, list and tuple with its path (`model.0`), outermost first."""
    visited: set[int] = set()
    pending = [("", value)]
    for path, item in pending:
        if not isinstance(item, (dict, list, tuple)) or id(item) in visited:
            continue
        visited.add(id(item))
        yield path, item
        parts = item.items() if isinstance(item, dict) else enumerate(item)
        pending.extend((f"{path}.{key}" if path else str(key), part) for key, part in parts)


def tensors_within(value: Any) -> Iterator[Tensor]:
    """Yield every tensor; one that is used twice is yielded twice."""
    if isinstance(value, Tensor):
        yield value
    for _, item in containers_within(value):
        parts = item.values() if isinstance(item, dict) else item
        yield from (part for part in parts if isinstance(part, Tensor))


def require_no_cycle(value: Any) -> None:
    """Raise an error for a container within itself; each is visited once."""
    done: set[int] = set()
    path: set[int] = set()
    pending: list[tuple[Any, bool]] = [(value, False)]
    while pending:
        item, left = pending.pop()
        if left:
            path.remove(id(item))
            done.add(id(item))
            continue
        if not isinstance(item, (dict, list, tuple)) or id(item) in done:
            continue
        if id(item) in path:
            raise refused("a container that holds itself")
        path.add(id(item))
        pending.append((item, True))
        parts = item.values() if isinstance(item, dict) else item
        pending.extend((part, False) for part in parts)
