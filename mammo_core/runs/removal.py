"""`mammo store gc --apply`: remove garbage, each item under its lease."""

from collections.abc import Callable, Iterable
from contextlib import suppress

from mammo_core.datasets.manifests import read_manifest
from mammo_core.datasets.shards import BASE_NOTE
from mammo_core.errors import RecordError, StoreError
from mammo_core.runs.garbage import (
    Garbage,
    GarbageReport,
    ids_in,
    output_of_status,
    parse_json,
    read_json,
)
from mammo_core.runs.run import run_of_status
from mammo_core.store import LeaseHeldError, Store

#: How long a removal waits for the lease of its output (seconds).
_LEASE_WAIT_S = 90.0


def remove_garbage(
    store: Store,
    report: GarbageReport,
    on_item: Callable[[Garbage, str], None] | None = None,
) -> list[Garbage]:
    """Remove garbage, unless it has come into use since the search.

    Args:
        store: The store.
        report: The result of `find_garbage`.
        on_item: Called with each item and why it was kept, or an empty text if it was removed.

    Returns:
        What was removed.

    Raises:
        StoreError: The store fails.
    """
    removed = []
    for item in report.garbage:
        obstacle = _remove(store, item, report.keys)
        if not obstacle:
            removed.append(item)
        if on_item is not None:
            on_item(item, obstacle)
    return removed


def _remove(store: Store, item: Garbage, keys: frozenset[str]) -> str:
    """Remove an item, or return why it is kept."""
    if not item.lease:
        return _remove_leases(store, item.keys)
    try:
        with store.lease(item.lease, wait_s=_LEASE_WAIT_S) as lease:
            if item.output and _came_into_use(store, item, keys):
                return "another process uses it"
            lease.check()
            for key in item.keys:
                store.delete(key)
    except LeaseHeldError:
        return "another process writes it"
    return ""


def _remove_leases(store: Store, files: Iterable[str]) -> str:
    """Remove the files of leases that nobody has taken since."""
    for file in files:
        state = store.state(file)
        key = "" if state is None else str(parse_json(state[0]).get("key", ""))
        if not key:
            store.delete(file)
            continue
        with suppress(LeaseHeldError), store.lease(key, wait_s=0):
            store.delete(file)
    return ""


def _came_into_use(store: Store, item: Garbage, keys: frozenset[str]) -> bool:
    """Whether something that was written since the search refers to an output."""
    for key in store.list(""):
        if key in keys:
            continue
        if key.endswith(f"/{BASE_NOTE}") and read_json(store, key).get("base") == item.output:
            return True
        if run_of_status(key) and output_of_status(store, key) == item.output:
            return True
        if key.endswith("/manifest.json"):
            try:
                manifest = read_manifest(store, key)
            except (RecordError, StoreError):
                return True
            files = {file.key for file in manifest.files}
            if item.output in ids_in(manifest.lineage.values()) or not files.isdisjoint(item.keys):
                return True
    return False
