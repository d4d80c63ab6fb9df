"""JSON objects in a store, read within limits of size and depth."""

from typing import Any, Final

from mammo_core.documents import DocumentError, parse_json
from mammo_core.errors import RecordError
from mammo_core.store.base import MAXIMUM_READ_BYTES, Store

#: Bytes of the status of a step, of a note or of a memo: they have up to a few kB.
MAXIMUM_NOTE_BYTES: Final = 2**24


def read_object(store: Store, key: str, max_bytes: int = MAXIMUM_READ_BYTES) -> dict[str, Any]:
    """Return a stored JSON object.

    Args:
        store: The store.
        key: Its key.
        max_bytes: Most bytes that it may have.

    Raises:
        RecordError: It is damaged.
        StoreError: There is none, it is too large, or the store fails.
    """
    return parse_object(store.read(key, max_bytes), f"{key!r} in the store {store.uri}")


def parse_object(data: bytes, origin: str) -> dict[str, Any]:
    """Parse a JSON object that Mammo Pipelines wrote.

    Args:
        data: Its bytes.
        origin: Its name in errors.

    Raises:
        RecordError: It is something else.
    """
    try:
        value = parse_json(data)
        received = type(value).__name__
    except DocumentError as error:
        value, received = None, error.received
    if not isinstance(value, dict):
        raise RecordError(
            f"{origin} cannot be read",
            expected="a JSON object, as Mammo Pipelines writes it",
            received=received,
            hint="the file was damaged or replaced: remove it, and run the same command again",
        )
    return value
