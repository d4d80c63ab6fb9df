"""Check the registry in the store, which is written but never loaded.

Feast executes code in a registry as soon as it lists the views: it unpickles functions,
executes their source and imports the classes of sources and tables. Anyone who can write to
the bucket could run code here. So Feast gets a registry that is built from our definitions
each time (`join.open_applied`), and a stored registry with anything else is refused.

The check parses protobuf's wire format, because Feast's reader must not see the file (and
takes seconds to import).

Source: feast/protos/feast/core/Registry.proto of Feast 0.67; protobuf's encoding.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mammo_core.errors import RecordError
from mammo_core.store import Lease, Store

#: A registry of our definitions has about 20 kB, and grows with each materialization.
_BYTES = 64 << 20
#: Bytes of the embedded online store, which is swapped whole.
_ONLINE_BYTES = 2**32
_LENGTH_DELIMITED, _GROUP = 2, 3
_FILE_SOURCE = b"feast.infra.offline_stores.file_source.FileSource"

# Field number → allowed content: a message (mapping), one of these values (frozenset), or any
# text, number or time (None). Other fields are refused.
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
            5: _VIEW,  # a serialized view
            6: _TIME,
        }
    },
}
#: Names of other fields of a registry, by the end of their path.
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
    """Return the key of the registry of a feature store."""
    return f"{folder}/registry.db"


@contextmanager
def leased(store: Store, folder: str) -> Iterator[Lease]:
    """Hold the lease of a feature store whose registry contains no code.

    Raises:
        RecordError: It contains code, or is not a registry.
    """
    with store.lease(folder) as lease:
        require_no_code(store, folder)
        yield lease


def require_no_code(store: Store, folder: str) -> None:
    """Refuse a stored registry with anything else than definitions like ours.

    Nothing in it is executed, unpickled or imported.

    Args:
        store: The object store.
        folder: Folder of the feature store.

    Raises:
        RecordError: It contains functions, classes or anything else that our definitions do
            not have, or is not a registry.
    """
    key = key_of(folder)
    entry = store.entry(key)
    if entry is None:
        return
    if entry.size > _BYTES:
        raise _registry_error(store, key, f"{entry.size} bytes")
    received = _forbidden_content(store.read(key, _BYTES), REGISTRY, ())
    if received:
        raise _registry_error(store, key, received)


def swap(store: Store, key: str, path: Path, etag: str | None) -> bool:
    """Replace a file of the feature store by a local one, if it is still the one that was read.

    Args:
        store: The object store.
        key: Key of the file.
        path: The new file.
        etag: Entity tag of the file that was read; None: there was none.

    Returns:
        False if another process has written it since, whose file was kept.
    """
    return store.put_if(key, path.read_bytes(), etag) is not None


def etag_of(store: Store, key: str) -> str | None:
    """Return the entity tag for `swap`."""
    state = store.state(key, _ONLINE_BYTES)
    return None if state is None else state[1]


def _forbidden_content(data: bytes, allowed: Fields, path: tuple[int, ...]) -> str:
    """Return the name of the first forbidden content of a message, or an empty text."""
    # Imported here: most callers find no registry.
    from google.protobuf.empty_pb2 import Empty
    from google.protobuf.message import DecodeError
    from google.protobuf.unknown_fields import UnknownFieldSet

    try:
        # All fields are unknown to an empty message, so none is interpreted.
        fields = UnknownFieldSet(Empty.FromString(data))
    except DecodeError:
        return f"invalid protobuf in {_field_name(path)}" if path else "invalid protobuf"
    for field in fields:
        field_path = (*path, field.field_number)
        content = allowed.get(field.field_number, frozenset())
        if field.wire_type == _GROUP:
            return _field_name(field_path)
        if isinstance(content, frozenset):
            if field.data not in content:
                return _field_name(field_path)
        elif isinstance(content, Mapping):
            if field.wire_type != _LENGTH_DELIMITED:
                return _field_name(field_path)
            received = _forbidden_content(field.data, content, field_path)
            if received:
                return received
    return ""


def _field_name(path: tuple[int, ...]) -> str:
    number = ".".join(map(str, path))
    for end, name in NAMES.items():
        if end == path or (end[0] is None and path[-len(end) + 1 :] == end[1:]):
            return f"{name} (field {number})"
    return f"field {number}"


def _registry_error(store: Store, key: str, received: str) -> RecordError:
    return RecordError(
        f"The registry {key} in {store.uri} has unexpected content and was not loaded",
        expected="entities and feature views of Parquet files, without functions",
        received=received,
        hint="it may have been placed there to run code: check who can write to the store, then "
        "delete the file; the next publication writes a new one",
    )
