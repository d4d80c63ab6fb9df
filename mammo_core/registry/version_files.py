"""Files that a published version has or lacks, depending on the release that wrote it."""

import hashlib
from typing import TypeVar

from pydantic import BaseModel

from mammo_core.packaging.signatures.checksums import SUMS, parse_sums
from mammo_core.registry.keys import version_folder
from mammo_core.registry.release_decision import DECISION, ReleaseDecision
from mammo_core.registry.versions import VersionRef, parse_file, read_marker, read_version_file
from mammo_core.store import Store

_Model = TypeVar("_Model", bound=BaseModel)


def find_version_file(store: Store, name: str, version: int, file: str) -> bytes | None:
    """Return a small file of a published version, verified; None if it was published without.

    Args:
        store: Where the registry is.
        name: Name of the model.
        version: Number of the version.
        file: Name of the file in the package.

    Raises:
        ModelError: As in `read_version_file`: a file that was removed is an error, and so is a
            list of files that was changed.
        StoreError: The store fails.
    """
    sums = store.read(f"{version_folder(name, version)}/{SUMS}")
    is_published = hashlib.sha256(sums).hexdigest() == read_marker(store, name, version).sums
    if is_published and file not in parse_sums(sums, f"version {version} of {name}"):
        return None
    return read_version_file(store, name, version, file)


def find_version_content(
    store: Store, name: str, version: int, file: str, model: type[_Model]
) -> _Model | None:
    """Return the content of such a file; None if the version was published without it.

    Args:
        store: Where the registry is.
        name: Name of the model.
        version: Number of the version.
        file: Name of the file in the package.
        model: What it contains.

    Raises:
        ModelError: As in `find_version_file`, or it does not match the model.
        StoreError: The store fails.
    """
    data = find_version_file(store, name, version, file)
    if data is None:
        return None
    return parse_file(model, data, f"{version_folder(name, version)}/{file}")


def released_by(store: Store, ref: VersionRef) -> ReleaseDecision | None:
    """Return the decision that released a version; None if it was pushed by hand.

    Args:
        store: Where the registry is.
        ref: The version.

    Raises:
        ModelError: It was changed or removed.
        StoreError: The store fails.
    """
    return find_version_content(store, ref.name, ref.version, DECISION, ReleaseDecision)
