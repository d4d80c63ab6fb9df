"""What registered versions need of the store: the ids they name, and their own files."""

import json
from collections.abc import Iterator
from typing import Any

from mammo_core.errors import ModelError
from mammo_core.packaging.checksums import SUMS, read_sums
from mammo_core.registry.versions import models, versions
from mammo_core.store import Store


def referred_ids(store: Store) -> set[str]:
    """Return every text in the lineage of every published version: ids of outputs among them.

    Raises:
        ModelError: A lineage cannot be read: what the version needs is not known.
        StoreError: The store fails.
    """
    found: set[str] = set()
    for place in _places(store):
        key = f"{place}/lineage.json"
        try:
            found.update(_texts(json.loads(store.read(key))))
        except ValueError as error:
            raise ModelError(
                f"The lineage {key} cannot be read",
                expected="JSON",
                received=str(error),
                hint="restore the version or remove it from the registry first",
            ) from error
    return found


def package_digests(store: Store) -> dict[str, str]:
    """Return key → SHA-256 of every file of every published version, as its list tells.

    Raises:
        ModelError: A version's list of files cannot be read.
        StoreError: The store fails.
    """
    found: dict[str, str] = {}
    for place in _places(store):
        folder, _, number = place.rpartition("/")
        published = json.loads(store.read(f"{folder}/published/{number}.json"))
        found[f"{place}/{SUMS}"] = published["sums"]
        listed = read_sums(store.fetch(f"{place}/{SUMS}").parent)
        found.update({f"{place}/{name}": digest for name, digest in listed.items()})
    return found


def _places(store: Store) -> list[str]:
    return [
        f"models/{ref.name}/{ref.version}"
        for name in models(store)
        for ref in versions(store, name)
    ]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
