"""What published versions need from the store: the outputs they name, and their own files."""

from collections.abc import Iterator
from typing import Any

from mammo_core.packaging.kinds import CANDIDATE
from mammo_core.packaging.signatures.checksums import SUMS, read_sums
from mammo_core.registry.keys import version_folder
from mammo_core.registry.version_files import released_by
from mammo_core.registry.versions import VersionRef, models, read_marker, versions
from mammo_core.store import Store


def referred_ids(store: Store) -> set[str]:
    """Return every string in the lineage of every published version, ids of outputs included.

    The outputs that its release was decided by are among them; not its candidate, whose files the
    version has itself.

    Raises:
        ModelError: A lineage cannot be read, so what its version needs is unknown.
        StoreError: The store fails.
    """
    ids: set[str] = set()
    for ref in _all_versions(store):
        ids.update(_strings(ref.lineage(store)))
        decision = released_by(store, ref)
        if decision is not None:
            ids.update(link.id for link in decision.links if link.kind != CANDIDATE.folder)
    return ids


def package_digests(store: Store) -> dict[str, str]:
    """Return key → SHA-256 of every file of every published version, as its list states.

    Raises:
        ModelError: A version's list of files cannot be read.
        StoreError: The store fails.
    """
    digests: dict[str, str] = {}
    for ref in _all_versions(store):
        folder = version_folder(ref.name, ref.version)
        marker = read_marker(store, ref.name, ref.version)
        digests[f"{folder}/{SUMS}"] = marker.sums
        listed = read_sums(store.fetch(f"{folder}/{SUMS}").parent)
        digests.update({f"{folder}/{name}": digest for name, digest in listed.items()})
    return digests


def _all_versions(store: Store) -> list[VersionRef]:
    return [ref for name in models(store) for ref in versions(store, name)]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
