"""Manifests: what a step published, by content address.

A manifest names the files of one output with their digests. It is written last, after the
files were read back, so whoever follows manifests never sees half an output.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from mammo_core.errors import RecordError
from mammo_core.store import Store
from mammo_core.store.base import file_sha256

SCHEMA_VERSION = 1


class StoredFile(BaseModel):
    """A file of an output.

    Attributes:
        name: What it is to the output, for instance `shard-00003` or `model.keras`.
        key: Where it lies in the store.
        sha256: Digest of its bytes, hex.
        size: Bytes.
        count: Records in it, where it holds records.
        excluded: Ids of those of its records that are no part of the output, sorted: their
            sources were removed or changed after the file was written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    key: str
    sha256: str
    size: int
    count: int | None = None
    excluded: tuple[str, ...] = ()


class Manifest(BaseModel):
    """What one step published.

    Attributes:
        kind: The folder of such outputs, for instance `datasets/images`.
        id: Content address: what went in, not when or where.
        schema_version: Version of this format.
        revision: The step's revision constant, raised when its bytes change.
        config: The step's whole configuration.
        files: The files, sorted by name.
        counts: How many records, rejects, … there are.
        facts: What readers need to know: geometry, bit depth, class names, …
        lineage: Ids of what this was made from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    id: str
    schema_version: int = SCHEMA_VERSION
    revision: int
    config: dict[str, Any]
    files: tuple[StoredFile, ...]
    counts: dict[str, int] = {}
    facts: dict[str, Any] = {}
    lineage: dict[str, str] = {}

    @property
    def folder(self) -> str:
        """The output's folder in the store."""
        return f"{self.kind}/{self.id}"

    @property
    def key(self) -> str:
        """Where the manifest lies in the store."""
        return f"{self.folder}/manifest.json"

    def file(self, name: str) -> StoredFile:
        """Return a file by name; RecordError when there is none."""
        for file in self.files:
            if file.name == name:
                return file
        raise RecordError(
            f"The manifest {self.key} has no file {name!r}",
            expected=f"one of {[file.name for file in self.files]}",
            received=name,
        )

    def files_like(self, prefix: str) -> list[StoredFile]:
        """Return the files whose names start with `prefix`, sorted by name."""
        return [file for file in self.files if file.name.startswith(prefix)]

    def to_json(self) -> str:
        """The manifest as it is stored: sorted keys, so the same manifest is the same bytes."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, indent=1) + "\n"


def content_id(
    kind: str,
    revision: int,
    config: Mapping[str, Any],
    inputs: Iterable[tuple[str, str]] = (),
) -> str:
    """Return the content address of an output.

    Args:
        kind: The kind of output.
        revision: The step's revision constant.
        config: The step's configuration, JSON values only.
        inputs: (id, digest) of everything that goes in, in any order.
    """
    digest = hashlib.sha256()
    head = {"kind": kind, "revision": revision, "config": dict(config)}
    digest.update(json.dumps(head, sort_keys=True, separators=(",", ":")).encode())
    for item, source in sorted(inputs):
        digest.update(f"\n{item}\t{source}".encode())
    return digest.hexdigest()[:32]


def parse(text: str | bytes, origin: str) -> Manifest:
    """Read a manifest; RecordError names `origin` when it is damaged or of another version."""
    try:
        found = Manifest.model_validate_json(text)
    except ValidationError as error:
        _check_version(text, origin)  # keys that are unknown here may be of a later version
        first = error.errors()[0]
        raise RecordError(
            f"The manifest {origin} cannot be read",
            expected=f"a manifest of schema version {SCHEMA_VERSION}",
            received=f"{first['msg']} at {'.'.join(map(str, first['loc'])) or 'the start'}",
        ) from error
    _check_version(text, origin)
    return found


def _check_version(text: str | bytes, origin: str) -> None:
    told: Any = None
    with suppress(ValueError, AttributeError):
        told = json.loads(text).get("schema_version")
    if told not in (None, SCHEMA_VERSION):
        raise RecordError(
            f"The manifest {origin} is of another schema version",
            expected=str(SCHEMA_VERSION),
            received=str(told),
        )


def find(store: Store, kind: str, id: str) -> Manifest | None:
    """Return the published manifest of an output, or None."""
    key = f"{kind}/{id}/manifest.json"
    if not store.exists(key):
        return None
    found = parse(store.read(key), key)
    if found.key != key:
        raise RecordError(
            f"The manifest {key} is not of this output",
            expected=f"the manifest of {kind}/{id}",
            received=f"the manifest of {found.folder}",
        )
    return found


def verify_file(store: Store, file: StoredFile) -> None:
    """Read a stored file back; RecordError when its bytes are not the manifest's."""
    path = store.fetch(file.key)
    size = path.stat().st_size
    digest = file_sha256(path) if size == file.size else ""
    if digest != file.sha256:
        raise RecordError(
            f"The stored file {file.key} is damaged",
            expected=f"{file.size} bytes with SHA-256 {file.sha256}",
            received=f"{size} bytes" + (f" with SHA-256 {digest}" if digest else ""),
            hint="remove the output's folder and run again",
        )


def fetch_verified(store: Store, file: StoredFile) -> Path:
    """Return a local copy of a stored file; RecordError when its bytes are not the manifest's."""
    verify_file(store, file)
    return store.fetch(file.key)


def publish(store: Store, manifest: Manifest, base: Manifest | None = None) -> Manifest:
    """Verify every file of an output and make it visible by writing its manifest.

    Args:
        store: Where the output is.
        manifest: The output.
        base: A published output: of files taken over from it only presence and size are
            looked up.

    Raises:
        RecordError: When a file is damaged or two files share a name.
        StoreError: When the store fails.
    """
    names = [file.name for file in manifest.files]
    if len(set(names)) != len(names):
        raise RecordError(
            f"The output {manifest.folder} has two files of one name",
            expected="distinct names",
            received=", ".join(sorted(name for name in set(names) if names.count(name) > 1)),
        )
    ordered = manifest.model_copy(
        update={"files": tuple(sorted(manifest.files, key=lambda file: file.name))}
    )
    known = {(file.key, file.sha256) for file in base.files} if base is not None else set()
    _check_present(store, [file for file in ordered.files if (file.key, file.sha256) in known])
    for file in ordered.files:
        if (file.key, file.sha256) not in known:
            verify_file(store, file)
    store.write(ordered.key, ordered.to_json().encode())
    return ordered


def _check_present(store: Store, files: list[StoredFile]) -> None:
    folders = {file.key.rpartition("/")[0] for file in files}
    sizes = {entry.key: entry.size for folder in folders for entry in store.entries(f"{folder}/")}
    for file in files:
        if sizes.get(file.key) != file.size:
            raise RecordError(
                f"The stored file {file.key} is damaged",
                expected=f"{file.size} bytes, as when it was published",
                received=f"{sizes[file.key]} bytes" if file.key in sizes else "no such file",
                hint="`mammo store verify` tells what else is; remove the outputs that list it",
            )


def put_bytes(store: Store, folder: str, name: str, data: bytes) -> StoredFile:
    """Write bytes as a file of an output."""
    key = f"{folder}/{name}"
    store.write(key, data)
    return StoredFile(name=name, key=key, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
