"""Changing the champion of a model: each change is an entry, and moves the pointer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mammo_core.errors import ModelError
from mammo_core.packaging.signatures.keys import SigningKey
from mammo_core.packaging.signatures.trust import signing_key
from mammo_core.registry.champion_entries import (
    Action,
    ChampionEntry,
    digest_of,
    entry_bytes,
    log_entry,
    pointer_key,
    read_for_repair,
    read_pointer,
)
from mammo_core.registry.champions import ChampionRef, reference_of
from mammo_core.registry.opening import open_version
from mammo_core.registry.versions import read_marker, require_name
from mammo_core.store import Store, require_conditional_writes


@dataclass(frozen=True)
class _Position:
    """Where the next entry goes: after `entry`, over `data`, with the number `next`."""

    data: bytes | None
    entry: ChampionEntry
    next: int
    damaged: bool


def promote(store: Store, name: str, version: int) -> ChampionRef:
    """Make a published version the champion, regardless of the gate's decision.

    The version is opened first: its files, its signature and its number are verified. This also
    replaces a pointer that is missing, damaged, or was replaced by an older one.

    Args:
        store: Where the registry is.
        name: Name of the model.
        version: Version to promote.

    Raises:
        ModelError: There is no such version, its verification fails, or there is no signing key
            although MAMMO_TRUST is set.
        StoreError: The store fails, or has no conditional writes.
    """
    require_conditional_writes(store)
    signing_key()
    model_id = open_version(store, require_name(name), version).model_id

    def choose(current: ChampionEntry) -> dict[str, Any] | None:
        return None if current.version == version else _succession(current, version, model_id)

    return reference_of(store, _move(store, name, "promote", choose))


def rollback(store: Store, name: str) -> ChampionRef:
    """Restore the previous champion and withdraw the current one.

    Args:
        store: Where the registry is.
        name: Name of the model.

    Raises:
        ModelError: There is no previous champion, its verification fails, or there is no signing
            key although MAMMO_TRUST is set.
        StoreError: The store fails, or has no conditional writes.
    """
    require_conditional_writes(store)
    require_name(name)
    signing_key()

    def choose(current: ChampionEntry) -> dict[str, Any]:
        if current.version is None or not current.before:
            raise ModelError(
                f"The champion of {name} cannot be rolled back",
                expected="a previous champion",
                received="no champion" if current.version is None else "the first champion",
                hint="`mammo models promote` makes any version the champion.",
            )
        *rest, number = current.before
        withdrawn = sorted({*current.withdrawn, current.version} - {number})
        return {
            "version": number,
            "model_id": open_version(store, name, number).model_id,
            "before": tuple(rest),
            "withdrawn": tuple(withdrawn),
        }

    return reference_of(store, _move(store, name, "rollback", choose))


def begin(store: Store, name: str) -> None:
    """Write the first entry of a model, without a champion, unless there is one.

    It exists before any version does, so a missing pointer is always a fault.

    Raises:
        ModelError: The pointer cannot be trusted; see `champion`.
        StoreError: The store fails.
    """
    _move(store, name, "begin", lambda current: None)


def advance(store: Store, name: str, version: int, model_id: str) -> None:
    """Make a version the champion unless a later one is, or its model was withdrawn.

    Args:
        store: Where the registry is.
        name: Name of the model.
        version: The published version.
        model_id: Its model id.
    """

    def choose(current: ChampionEntry) -> dict[str, Any] | None:
        if current.version is not None and current.version >= version:
            return None
        # The same model, signed by another key, is another version.
        withdrawn = (read_marker(store, name, number).model_id for number in current.withdrawn)
        if version in current.withdrawn or model_id in withdrawn:
            return None
        return _succession(current, version, model_id)

    _move(store, name, "push", choose)


def _succession(current: ChampionEntry, version: int, model_id: str) -> dict[str, Any]:
    """The entry after a version has succeeded the current champion."""
    champions = [number for number in current.before if number != version]
    if current.version is not None:
        champions.append(current.version)
    withdrawn = tuple(number for number in current.withdrawn if number != version)
    return {
        "version": version,
        "model_id": model_id,
        "before": tuple(champions),
        "withdrawn": withdrawn,
    }


def _move(
    store: Store,
    name: str,
    action: Action,
    choose: Callable[[ChampionEntry], dict[str, Any] | None],
) -> ChampionEntry:
    """Move the champion by a conditional write; after a lost race, choose again.

    Args:
        store: Where the registry is.
        name: Name of the model.
        action: What moves it.
        choose: Returns the fields of the new entry for the current one, or None to keep it.

    Returns:
        The entry in force.
    """
    key = signing_key()
    while True:
        position = _find_position(store, name, action, key)
        fields = choose(position.entry)
        if fields is None:
            if not position.damaged:
                return position.entry
            fields = position.entry.model_dump(
                include={"version", "model_id", "before", "withdrawn"}
            )
        entry = ChampionEntry(
            name=name,
            sequence=position.next,
            action=action,
            previous=digest_of(position.data) if position.data is not None else "",
            **fields,
        ).signed(key)
        moved = entry_bytes(entry)
        # A repeated request finds what the first one wrote.
        if (
            store.write_if(pointer_key(name), moved, position.data)
            or store.read(pointer_key(name)) == moved
        ):
            log_entry(store, name, entry, moved)
            return entry


def _find_position(store: Store, name: str, action: Action, key: SigningKey | None) -> _Position:
    """Return the entry in force; the first entry is written if there is none."""
    while True:
        try:
            data, entry = read_pointer(store, name)
        except ModelError:
            if action != "promote":
                raise
            data, entry, number = read_for_repair(store, name)
            return _Position(data, entry, number, damaged=True)
        if data is None or entry is None:
            entry = ChampionEntry(name=name, sequence=1, action="begin").signed(key)
            data = entry_bytes(entry)
            if not store.write_if(pointer_key(name), data, None):
                continue
        # Here if its mover was killed before it did so itself.
        log_entry(store, name, entry, data)
        return _Position(data, entry, entry.sequence + 1, damaged=False)
