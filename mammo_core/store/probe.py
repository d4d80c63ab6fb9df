"""Whether a store supports conditional writes, for several writers at once."""

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from mammo_core.documents import parse_json
from mammo_core.errors import StoreError
from mammo_core.store.base import Store

#: Writes at once, of which one must win.
WRITERS: Final = 32
#: Notes which server passed, so that the steps of a run need not test it again.
PASSED: Final = ".probe/passed.json"
_BODY_BYTES = 4096
_PASSED_BYTES = 2**16

# URIs of stores that passed in this process.
_verified: set[str] = set()


def require_conditional_writes(store: Store) -> None:
    """Try conditional writes on a store, once per process, and refuse a store without them.

    Leases, manifests, model versions and the pointer to the champion rely on If-None-Match and
    If-Match. A server that ignores these headers writes anyway, and one that first looks and then
    writes lets several of many writers win; then outputs are lost silently. So this is tested
    before anything else is done: of 32 writes at once exactly one must win.

    Args:
        store: Any store.

    Raises:
        StoreError: Several writes win, it writes although the condition does not hold, or it
            rejects such writes.
    """
    if store.uri in _verified:
        return
    key = f".probe/{uuid4().hex}"
    try:
        fault = _find_fault(store, key)
    except StoreError as error:
        if "NotImplemented" in error.received or "InvalidArgument" in error.received:
            fault = error.received
        else:
            raise
    finally:
        for number in range(2):
            with suppress(StoreError):
                store.delete(f"{key}-{number}")
    if fault:
        with suppress(StoreError):
            store.delete(PASSED)
        raise _unsupported_error(store, fault)
    _verified.add(store.uri)
    passed = {"server": _server(store), "tested": datetime.now(UTC).isoformat(timespec="seconds")}
    store.write(PASSED, json.dumps(passed).encode())


def require_tested(store: Store) -> None:
    """Test a store unless this server has passed before: see `require_conditional_writes`.

    Every run tests its store afresh when it begins; its other steps rely on that.

    Raises:
        StoreError: As for `require_conditional_writes`.
    """
    if store.uri in _verified:
        return
    state = store.state(PASSED, _PASSED_BYTES)
    with suppress(ValueError, TypeError, KeyError):
        if state is not None and parse_json(state[0])["server"] == _server(store):
            _verified.add(store.uri)
            return
    require_conditional_writes(store)


def store_time(store: Store) -> float:
    """Return the time by the store's own clock, which the times of its files are by.

    Args:
        store: The store; a small hidden file is written to it.

    Returns:
        Seconds since 1970.

    Raises:
        StoreError: The store fails.
    """
    key = f".probe/{uuid4().hex}"
    try:
        store.write(key, b"")
        entry = store.entry(key)
        return time.time() if entry is None else entry.modified
    finally:
        store.delete(key)


def _find_fault(store: Store, key: str) -> str:
    """Return what a store does wrong with conditional writes; empty if nothing."""
    for number in range(2):  # the second time the connections are open, and the writes are closer
        new = f"{key}-{number}"
        winners = _race(store, new, None)
        if len(winners) != 1:
            return f"{len(winners)} of {WRITERS} writes at once to a new key won (If-None-Match)"
        winners = _race(store, new, winners[0])
        if len(winners) != 1:
            return f"{len(winners)} of {WRITERS} writes at once over the same bytes won (If-Match)"
        if store.put_if(new, b"late", None) is not None:
            return "a write to a key that existed, although it must not (If-None-Match)"
        if store.put_if(new, b"late", "0" * 32) is not None:
            return "a write over other bytes, although it must not (If-Match)"
    return ""


def _race(store: Store, key: str, etag: str | None) -> list[str]:
    """Write from many threads under one condition; returns the entity tags of the winners."""
    together = threading.Barrier(WRITERS)

    def write(_: int) -> str | None:
        body = os.urandom(_BODY_BYTES)
        with suppress(threading.BrokenBarrierError):
            together.wait(timeout=10)
        return store.put_if(key, body, etag)

    with ThreadPoolExecutor(WRITERS) as pool:
        return [won for won in pool.map(write, range(WRITERS)) if won is not None]


def _server(store: Store) -> str:
    return str(getattr(store, "endpoint", "") or store.uri)


def _unsupported_error(store: Store, received: str) -> StoreError:
    name = getattr(store, "server", "")
    named = f" (server {name!r} at {_server(store)})" if name else ""
    return StoreError(
        f"The store {store.uri}{named} cannot be used",
        expected="conditional writes (If-None-Match and If-Match) of which exactly one wins",
        received=received,
        hint="Without them two writers overwrite each other: use MinIO, AWS S3, SeaweedFS 4.17 or "
        "later, or another server that passes this test (docs/store.md)",
    )
