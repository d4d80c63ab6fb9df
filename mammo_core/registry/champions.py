"""The champion of a model: the version that `models/<name>` resolves to."""

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict

from mammo_core.errors import ModelError
from mammo_core.packaging.package import verify
from mammo_core.registry.versions import (
    VersionRef,
    fetch_version,
    parse_file,
    read_marker,
    require_name,
    to_file,
    version_uri,
)
from mammo_core.store import Store, require_conditional_writes


class ChampionPointer(BaseModel):
    """The champion file.

    Attributes:
        version: The champion's version.
        model_id: The champion's model id.
        before: Earlier champions, the latest last; `rollback` walks back through them.
        withdrawn: Versions that were rolled back; a push never makes them champion again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    model_id: str
    before: tuple[int, ...] = ()
    withdrawn: tuple[int, ...] = ()


class ChampionRef(VersionRef):
    """The champion of a model."""


def champion(store: Store, name: str) -> ChampionRef | None:
    """Return the champion of a model, or None if nothing was published yet.

    Raises:
        ModelError: The pointer is damaged, or points to a version that is not published. This
            must not look like "no champion": a gate would then compare with nothing.
    """
    key = _champion_key(name)
    if not store.exists(key):
        return None
    pointer = parse_file(ChampionPointer, store.read(key), key)
    marker = read_marker(store, name, pointer.version)
    if marker.model_id != pointer.model_id:
        raise ModelError(
            f"The champion of {name} is not the model its pointer names",
            expected=f"model id {pointer.model_id} as version {pointer.version}",
            received=f"model id {marker.model_id}",
        )
    return _reference(store, name, pointer)


def promote(store: Store, name: str, version: int) -> ChampionRef:
    """Make a published version the champion, regardless of the gate's decision.

    The version's files are verified first.

    Args:
        store: Where the registry is.
        name: Name of the model.
        version: Version to promote.

    Raises:
        ModelError: There is no such version, or its verification fails.
        StoreError: The store fails, or has no conditional writes.
    """
    require_conditional_writes(store)
    model_id = verify(fetch_version(store, require_name(name), version)).model_id

    def choose(current: ChampionPointer | None) -> ChampionPointer | None:
        if current is not None and current.version == version:
            return None
        return _succeed(current, version, model_id)

    _move(store, name, choose)
    uri = version_uri(store, name, version)
    return ChampionRef(name=name, version=version, model_id=model_id, uri=uri)


def rollback(store: Store, name: str) -> ChampionRef:
    """Restore the previous champion and withdraw the current one.

    Args:
        store: Where the registry is.
        name: Name of the model.

    Raises:
        ModelError: There is no previous champion.
        StoreError: The store fails, or has no conditional writes.
    """
    require_conditional_writes(store)
    require_name(name)

    def choose(current: ChampionPointer | None) -> ChampionPointer:
        if current is None or not current.before:
            raise ModelError(
                f"The champion of {name} cannot be rolled back",
                expected="a previous champion",
                received="no champion" if current is None else "the first champion",
                hint="`mammo models promote` makes any version the champion.",
            )
        *rest, number = current.before
        withdrawn = sorted({*current.withdrawn, current.version} - {number})
        return ChampionPointer(
            version=number,
            model_id=verify(fetch_version(store, name, number)).model_id,
            before=tuple(rest),
            withdrawn=tuple(withdrawn),
        )

    return _reference(store, name, _move(store, name, choose))


def advance(store: Store, name: str, version: int, model_id: str) -> None:
    """Make a version the champion unless a later one is, or the version was withdrawn.

    Args:
        store: Where the registry is.
        name: Name of the model.
        version: The published version.
        model_id: Its model id.
    """

    def choose(current: ChampionPointer | None) -> ChampionPointer | None:
        if current is not None and (current.version >= version or version in current.withdrawn):
            return None
        return _succeed(current, version, model_id)

    _move(store, name, choose)


def _succeed(current: ChampionPointer | None, version: int, model_id: str) -> ChampionPointer:
    """The pointer after a version has succeeded the current champion."""
    if current is None:
        return ChampionPointer(version=version, model_id=model_id)
    before = (*(number for number in current.before if number != version), current.version)
    withdrawn = tuple(number for number in current.withdrawn if number != version)
    return ChampionPointer(version=version, model_id=model_id, before=before, withdrawn=withdrawn)


def _move(
    store: Store, name: str, choose: Callable[[ChampionPointer | None], ChampionPointer | None]
) -> ChampionPointer:
    """Move the champion by a conditional write; after a lost race, choose again.

    Args:
        store: Where the registry is.
        name: Name of the model.
        choose: Returns the new pointer for the current one, or None to keep it.

    Returns:
        The pointer in force.
    """
    key = _champion_key(name)
    while True:
        data = store.read(key) if store.exists(key) else None
        current = parse_file(ChampionPointer, data, key) if data is not None else None
        pointer = choose(current)
        if pointer is None and current is not None:
            return current
        if pointer is not None and store.write_if(key, to_file(pointer), data):
            return pointer


def _reference(store: Store, name: str, pointer: ChampionPointer) -> ChampionRef:
    uri = version_uri(store, name, pointer.version)
    return ChampionRef(name=name, version=pointer.version, model_id=pointer.model_id, uri=uri)


def _champion_key(name: str) -> str:
    return f"models/{require_name(name)}/champion"
