"""Whether a store supports conditional writes."""

from contextlib import suppress
from uuid import uuid4

from mammo_core.errors import StoreError
from mammo_core.store.base import Store

# URIs of stores that passed in this process.
_verified: set[str] = set()


def require_conditional_writes(store: Store) -> None:
    """Try conditional writes on a store, once per process, and refuse a store without them.

    Leases, model versions and the pointer to the champion rely on If-None-Match and If-Match. A
    server that ignores these headers writes anyway, and one of two writers is lost silently, so
    this is checked before anything else is done.

    Args:
        store: Any store.

    Raises:
        StoreError: It writes although the condition does not hold, or rejects such writes.
    """
    if store.uri in _verified:
        return
    key = f".probe/{uuid4().hex}"
    try:
        fault = _find_fault(store, key)
    except StoreError as error:
        if "NotImplemented" in error.received or "InvalidArgument" in error.received:
            raise _unsupported_error(store, error.received) from error
        raise
    finally:
        with suppress(StoreError):
            store.delete(key)
    if fault:
        raise _unsupported_error(store, fault)
    _verified.add(store.uri)


def _find_fault(store: Store, key: str) -> str:
    """Return what a store does wrong with conditional writes to a new key; empty if nothing."""
    if not store.write_if(key, b"first", None):
        return "a refused write to a key that did not exist"
    if store.write_if(key, b"second", None):
        return "a write to a key that existed, although it must not (If-None-Match)"
    # `write_if` compares first by itself; this asks the server.
    put_if = getattr(store, "put_if", None)
    if put_if is not None and put_if(key, b"third", "0" * 32) is not None:
        return "a write over an object with another entity tag (If-Match)"
    return ""


def _unsupported_error(store: Store, received: str) -> StoreError:
    return StoreError(
        f"The store {store.uri} cannot be used",
        expected="a server with conditional writes (If-None-Match and If-Match)",
        received=received,
        hint="Without them two writers overwrite each other: use MinIO or another S3 server "
        "that supports them (docs/store.md)",
    )
