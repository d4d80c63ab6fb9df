"""Published versions of models in the object store.

    models/<name>/claims/<n>           the push that version n belongs to (written first)
    models/<name>/<n>/…                the package, laid out as a TensorFlow Serving version
    models/<name>/published/<n>.json   written after the package was read back: version n exists
    models/<name>/champion             the champion's entry in force, moved last
    models/<name>/champions/<k>.json   every entry, by its sequence number (champion_entries.py)

An interrupted push leaves a claim and perhaps files, but no version: a version without its
published/<n>.json is never listed, resolved or compared. A number belongs to one push, which
writes its files once: a push that was paused and goes on cannot overwrite another's. Claims,
markers and the champion are conditional writes: the loser of a race takes the next version or
reads again.
"""

import atexit
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mammo_core.documents import (
    MAXIMUM_JSON_KEYS,
    DocumentError,
    parse_json,
    require_json_limits,
)
from mammo_core.errors import ModelError
from mammo_core.packaging.contents import RELEASE, SIGNATURE, PackageManifest, Release
from mammo_core.packaging.signatures.checksums import SUMS, digest, parse_sums, read_sums
from mammo_core.packaging.signatures.signing import verify_signature
from mammo_core.packaging.signatures.trust import UNSIGNED, TrustPolicy
from mammo_core.registry.keys import marker_key, version_folder, version_uri
from mammo_core.store import Store
from mammo_core.store.base import validate_key

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_Model = TypeVar("_Model", bound=BaseModel)


class PublishedMarker(BaseModel):
    """`published/<n>.json`.

    Attributes:
        model_id: Content hash of the model.
        sums: SHA-256 of the package's SHA256SUMS, which covers every file.
        signed_by: Id of the key that is said to have signed it, or `unsigned`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_id: str
    sums: str
    signed_by: str = UNSIGNED


class VersionRef(BaseModel):
    """A published version.

    Attributes:
        name: Name of the model.
        version: Number of the version, from 1.
        model_id: Content hash of the model.
        uri: URI for `open_package`.
        signed_by: Id of the key that is said to have signed it, or `unsigned`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: int
    model_id: str
    uri: str
    signed_by: str = UNSIGNED

    def lineage(self, store: Store) -> dict[str, Any]:
        """Return the package's lineage.json: the ids of the outputs the model was made from.

        Args:
            store: Where the registry is.

        Raises:
            ModelError: It is missing, was changed, or is not a JSON object.
            StoreError: The store fails.
        """
        return read_lineage(store, self.name, self.version)


def versions(store: Store, name: str) -> list[VersionRef]:
    """Return the published versions of a model, in ascending order.

    Raises:
        ModelError: The name is invalid, or a version's marker is damaged.
    """
    refs = []
    for number in published_numbers(store, name):
        key = marker_key(name, number)
        marker = parse_file(PublishedMarker, store.read(key), key)
        refs.append(
            VersionRef(
                name=name,
                version=number,
                model_id=marker.model_id,
                uri=version_uri(store, name, number),
                signed_by=marker.signed_by,
            )
        )
    return refs


def published_numbers(store: Store, name: str) -> list[int]:
    """Return the numbers of the published versions of a model, ascending.

    Raises:
        ModelError: The name is invalid.
    """
    numbers = []
    for key in store.list(f"models/{require_name(name)}/published/"):
        file, dot, extension = key.rpartition("/")[2].partition(".")
        if (dot, extension) == (".", "json") and file.isdecimal():
            numbers.append(int(file))
    return sorted(numbers)


def models(store: Store) -> list[str]:
    """Return the names of the models that have a published version, sorted."""
    parts = (key.split("/") for key in store.list("models/"))
    return sorted({part[1] for part in parts if len(part) == 4 and part[2] == "published"})


def read_marker(store: Store, name: str, version: int) -> PublishedMarker:
    """Read the marker of a published version.

    Raises:
        ModelError: There is no such version, or its marker is damaged.
        StoreError: The store fails.
    """
    key = marker_key(name, version)
    if not store.exists(key):
        published = ", ".join(str(ref.version) for ref in versions(store, name))
        raise ModelError(
            f"The model {name} has no version {version} in {store.uri}",
            expected=f"a published version: {published or 'there is none yet'}",
            received=str(version),
        )
    return parse_file(PublishedMarker, store.read(key), key)


def read_lineage(store: Store, name: str, version: int) -> dict[str, Any]:
    """Read the lineage of a version; see `VersionRef.lineage`."""
    data = read_version_file(store, name, version, "lineage.json")
    key = f"{version_folder(name, version)}/lineage.json"
    try:
        lineage = parse_json(data)
    except DocumentError as error:
        raise _lineage_error(key, str(error)) from error
    if not isinstance(lineage, dict):
        raise _lineage_error(key, type(lineage).__name__)
    return lineage


def read_package(store: Store, name: str, version: int) -> PackageManifest:
    """Return the manifest of a version's package.

    Raises:
        ModelError: It cannot be read, or was changed.
        StoreError: The store fails, or there is no such version.
    """
    key = f"{version_folder(name, version)}/package.json"
    return parse_file(PackageManifest, read_version_file(store, name, version, "package.json"), key)


def read_version_file(store: Store, name: str, version: int, file: str) -> bytes:
    """Return a small file of a published version, verified without fetching the networks.

    Args:
        store: Where the registry is.
        name: Name of the model.
        version: Number of the version.
        file: Name of the file in the package.

    Raises:
        ModelError: There is no such version or file; it is not what was published; or the version
            is not signed by a trusted key, where MAMMO_TRUST is set.
        StoreError: The store fails.
    """
    marker = read_marker(store, name, version)
    folder, what = version_folder(name, version), f"version {version} of {name}"
    sums = store.read(f"{folder}/{SUMS}")
    if hashlib.sha256(sums).hexdigest() != marker.sums:
        raise _replaced_error(what, f"{SUMS} with SHA-256 {marker.sums}", "another one")
    listed = parse_sums(sums, what)

    def read(part: str) -> bytes:
        key = f"{folder}/{part}"
        if part not in listed or not store.exists(key):
            raise _replaced_error(what, f"the file {part}", "no such file")
        data = store.read(key)
        if hashlib.sha256(data).hexdigest() != listed[part]:
            raise _replaced_error(what, f"{part} with SHA-256 {listed[part]}", "another one")
        return data

    trust = TrustPolicy.from_environment()
    if trust is not None:
        signature = read(SIGNATURE) if SIGNATURE in listed else None
        verify_signature(listed, signature, trust, what)
    release = parse_file(Release, read(RELEASE), f"{folder}/{RELEASE}")
    require_release(release, name, version, marker.model_id)
    return read(file)


def require_release(release: Release | None, name: str, version: int, model_id: str) -> None:
    """Require that a package is the version that the registry says it is.

    Args:
        release: Its release.json, verified; None if it has none.
        name: Name of the model.
        version: Number of the version.
        model_id: Model id in the version's marker.

    Raises:
        ModelError: It is another model or version.
    """
    expected = (name, version, model_id)
    received = (release.name, release.version, release.model_id) if release is not None else None
    if received != expected:
        raise _replaced_error(
            f"version {version} of {name}",
            _release_text(*expected),
            _release_text(*received) if received is not None else f"no {RELEASE}",
        )


def fetch_version(store: Store, name: str, version: int) -> Path:
    """Return a local folder with the files of a published version; `verify` then checks them.

    Args:
        store: Where the registry is.
        name: Name of the model.
        version: Number of the version.

    Raises:
        ModelError: There is no such version, or its list of files was changed.
        StoreError: The store fails.
    """
    marker = read_marker(store, name, version)
    folder = _fetch_files(store, version_folder(name, version))
    if digest(folder / SUMS) != marker.sums:
        raise _replaced_error(
            f"version {version} of {name}",
            f"{SUMS} with SHA-256 {marker.sums}",
            f"SHA-256 {digest(folder / SUMS)}",
        )
    return folder


def require_name(name: str) -> str:
    """Return a model name, or raise `ModelError` if it is invalid."""
    if NAME.fullmatch(name) is None:
        raise ModelError(
            "This model name cannot be used",
            expected="letters, digits, '.', '_' and '-', starting with a letter or digit",
            received=repr(name),
        )
    return name


def parse_file(model: type[_Model], data: bytes, key: str) -> _Model:
    """Parse one of the registry's JSON files.

    Raises:
        ModelError: It cannot be parsed.
    """
    try:
        require_json_limits(data, max_keys=MAXIMUM_JSON_KEYS)
        return model.model_validate_json(data)
    except DocumentError as error:
        raise ModelError(
            f"The registry file {key} cannot be read",
            expected="the JSON object that this release writes",
            received=error.received,
        ) from error
    except ValidationError as error:
        raise ModelError(
            f"The registry file {key} cannot be read",
            expected="the JSON object that this release writes",
            received=str(error.errors()[0]["msg"]),
        ) from error


def to_file(value: BaseModel) -> bytes:
    """Return the bytes of one of the registry's JSON files: the same value, the same bytes."""
    return (json.dumps(value.model_dump(mode="json"), sort_keys=True) + "\n").encode()


def gather(files: Mapping[str, Path]) -> Path:
    """Copy files into one folder, which is deleted when the process ends.

    Args:
        files: Name in the folder → local file.

    Raises:
        StoreError: A name would be outside the folder.
    """
    folder = Path(tempfile.mkdtemp(prefix="mammo-model-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name, path in files.items():
        target = folder / validate_key(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return folder


def _fetch_files(store: Store, package: str) -> Path:
    """Fetch a package; returns the store's own folder if the store is one on this machine."""
    sums = store.fetch(f"{package}/{SUMS}")
    names = [SUMS, *sorted(read_sums(sums.parent))]
    fetched = {name: store.fetch(f"{package}/{name}") for name in names}
    if all(path == sums.parent / name for name, path in fetched.items()):
        return sums.parent
    return gather(fetched)


def _release_text(name: str, version: int, model_id: str) -> str:
    return f"version {version} of {name}, model id {model_id[:12]}"


def _replaced_error(what: str, expected: str, received: str) -> ModelError:
    return ModelError(
        f"{what[0].upper()}{what[1:]} is not what was published",
        expected=expected,
        received=received,
        hint="Files in the store were changed after publication: do not use it.",
    )


def _lineage_error(key: str, received: str) -> ModelError:
    return ModelError(
        f"The lineage {key} cannot be read",
        expected="a JSON object",
        received=received,
        hint="Restore the version or remove it from the registry.",
    )
