"""Whether a store keeps its promise about conditional writes."""

from contextlib import suppress
from uuid import uuid4

from mammo_core.errors import StoreError
from mammo_core.store.base import Store

_KNOWN: set[str] = set()


def require_conditional_writes(store: Store) -> None:
    """Try conditional writes on a store, once in a process, and refuse a store without them.

    Leases, the versions of models and the pointer to the champion rest on If-None-Match and
    If-Match. A server that does not know them writes anyway, and one of two writers is lost
    without a word, so this is asked before anything else is done.

    Args:
        store: Any store.

    Raises:
        StoreError: It writes although the condition does not hold, or refuses such writes.
    """
    if store.uri in _KNOWN:
        return
    key = f".probe/{uuid4().hex}"
    try:
        told = "a refusal of a write to a key that was free"
        fault = not store.write_if(key, b"first", None)
        if not fault:
            told = "a second write to a key that was to be free (If-None-Match)"
            fault = store.write_if(key, b"second", None)
        # What the store itself compares before is passed by: the server is asked.
        put_if = getattr(store, "put_if", None)
        if not fault and put_if is not None:
            told = "a write over an object of another entity tag (If-Match)"
            fault = put_if(key, b"third", "0" * 32) is not None
    except StoreError as error:
        if "NotImplemented" in error.received or "InvalidArgument" in error.received:
            raise _refused(store, error.received) from error
        raise
    finally:
        with suppress(StoreError):
            store.delete(key)
    if fault:
        raise _refused(store, told)
    _KNOWN.add(store.uri)


def _refused(store: Store, received: str) -> StoreError:
    return StoreError(
        f"The store {store.uri} cannot be used",
        expected="a server with conditional writes (If-None-Match and If-Match)",
        received=received,
        hint="Without them two writers overwrite each other: use MinIO or another S3 server "
        "that has them (docs/store.md)",
    )
