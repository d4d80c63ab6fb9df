"""The registry that lies in the store is written there, checked, and never loaded.

Feast runs what a registry carries as soon as it lists its views: it unpickles functions,
executes their source and imports the classes that sources and tables name. Whoever may write
to the bucket could run code here that way. Our definitions are code of ours and have no
functions, so Feast gets a registry made of them each time (`join.open_applied`), and a
stored one that holds anything else is refused.

The check reads protobuf's wire format: Feast's own reader is what must not see the file, and
Feast takes seconds to import.

Source: feast/protos/feast/core/Registry.proto of Feast 0.67; protobuf's encoding.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mammo_core.errors import RecordError
from mammo_core.store import Store

#: A registry of our definitions has some 20 kB; times of materialization add to older ones.
_BYTES = 64 << 20
_LENGTH_DELIMITED, _GROUP = 2, 3
_FILE_SOURCE = b"feast.infra.offline_stores.file_source.FileSource"

# Field number → what may be in it: a message (mapping), certain values only (frozenset), or any
# text, number or time (None). A field that is not listed is refused.
Fields = Mapping[int, Any]
_TIME: Fields = {1: None, 2: None}
_CREATED_UPDATED: Fields = {1: _TIME, 2: _TIME}
_FEATURE: Fields = {1: None, 2: None}
_PARQUET: Fields = {
    1: frozenset({1}),  # type: BATCH_FILE
    3: None,
    5: None,
    11: {2: None},
    17: frozenset({_FILE_SOURCE}),
    20: None,
    21: None,
    50: {3: _TIME, 4: _TIME},
}
_VIEW: Fields = {
    1: {
        **dict.fromkeys((1, 2, 3, 8, 18)),
        4: _FEATURE,
        6: _TIME,
        7: _PARQUET,
        12: _FEATURE,
    },
    2: {1: _TIME, 2: _TIME, 3: _CREATED_UPDATED, 4: None, 5: None, 6: None},
}
REGISTRY: Fields = {
    1: {1: dict.fromkeys((1, 2, 4, 9)), 2: _CREATED_UPDATED},
    3: None,
    4: None,
    5: _TIME,
    6: _VIEW,
    12: _PARQUET,
    15: {1: None, 2: None},
    17: {1: {1: None}, 2: _CREATED_UPDATED},
    18: {
        1: {
            **dict.fromkeys((1, 2, 3, 7, 8)),
            4: frozenset({b"feature_view"}),
            5: _VIEW,  # a view as bytes
            6: _TIME,
        }
    },
}
#: What else Feast knows in a registry, by the end of its path.
NAMES: Mapping[tuple[int | None, ...], str] = {
    (7,): "feature services",
    (8,): "on-demand feature views",
    (10,): "infra",
    (11,): "saved datasets",
    (13,): "validation references",
    (14,): "stream feature views",
    (16,): "permissions",
    (19,): "label views",
    (None, 1, 9): "a stream source of a feature view",
    (None, 1, 14): "source views of a feature view",
    (None, 1, 15): "a function of a feature view",
    (None, 1, 16): "a mode of a feature view",
    (None, 1, 7, 1): "a source of another kind",
    (None, 1, 7, 17): "a source of another class",
    (12, 1): "a source of another kind",
    (12, 17): "a source of another class",
    (12, 16): "a source with a configuration",
    (12, 26): "a source within a source",
}


def key_of(folder: str) -> str:
    """The registry's key in the folder of a feature store."""
    return f"{folder}/registry.db"


@contextmanager
def leased(store: Store, folder: str) -> Iterator[None]:
    """Hold the lease of a feature store whose registry carries no code.

    Raises:
        RecordError: It carries code, or is no registry.
    """
    with store.lease(folder):
        require_no_code(store, folder)
        yield


def require_no_code(store: Store, folder: str) -> None:
    """Check that a stored registry, if there is one, holds nothing but definitions like ours.

    Nothing of it is executed, unpickled or imported.

    Args:
        store: The object store.
        folder: Folder of the feature store.

    Raises:
        RecordError: It carries functions, classes or anything else that our definitions do
            not have, or is no registry.
    """
    key = key_of(folder)
    entry = store.entry(key)
    if entry is None:
        return
    if entry.size > _BYTES:
        raise _registry_error(store, key, f"{entry.size} bytes")
    received = _foreign(store.read(key), REGISTRY, ())
    if received:
        raise _registry_error(store, key, received)


def _foreign(data: bytes, allowed: Fields, path: tuple[int, ...]) -> str:
    """What in a message is not allowed, in words; empty when all of it is."""
    # Light imports are what this module is for.
    from google.protobuf.empty_pb2 import Empty
    from google.protobuf.message import DecodeError
    from google.protobuf.unknown_fields import UnknownFieldSet

    try:
        # To an empty message all fields are unknown, and none is interpreted.
        fields = UnknownFieldSet(Empty.FromString(data))
    except DecodeError:
        return f"bytes that are no protobuf, {_words(path)}" if path else "no protobuf"
    for field in fields:
        here = (*path, field.field_number)
        inside = allowed.get(field.field_number, frozenset())
        if field.wire_type == _GROUP:
            return _words(here)
        if isinstance(inside, frozenset):
            if field.data not in inside:
                return _words(here)
        elif isinstance(inside, Mapping):
            if field.wire_type != _LENGTH_DELIMITED:
                return _words(here)
            received = _foreign(field.data, inside, here)
            if received:
                return received
    return ""


def _words(path: tuple[int, ...]) -> str:
    number = ".".join(map(str, path))
    for end, name in NAMES.items():
        if end == path or (end[0] is None and path[-len(end) + 1 :] == end[1:]):
            return f"{name} (field {number})"
    return f"field {number}"


def _registry_error(store: Store, key: str, received: str) -> RecordError:
    return RecordError(
        f"The registry {key} in {store.uri} is not of our definitions, and was not loaded",
        expected="entities and feature views of Parquet files, without functions",
        received=received,
        hint="it may have been put there to run code: see who can write to the store; then "
        "delete the file, the next publication writes it anew",
    )
