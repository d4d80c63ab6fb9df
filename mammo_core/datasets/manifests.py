"""Manifests: the outputs of steps, by content address.

A manifest lists the files of one output with their digests. It is written last, after the files
were read back, and only once, so a reader that follows manifests never sees an incomplete output
or two versions of one. The keys of the files carry the attempt that wrote them; id, digests and
counts are the same whichever attempt was the first to publish.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from mammo_core.documents import (
    MAXIMUM_JSON_BYTES,
    MAXIMUM_JSON_KEYS,
    DocumentError,
    parse_json,
    require_json_limits,
)
from mammo_core.errors import RecordError, StoreError
from mammo_core.store import Lease, Store
from mammo_core.store.base import file_sha256

SCHEMA_VERSION = 2
#: Name of the file that lists the shards of an output with many: see `shard_tables`.
SHARD_TABLE = "shards.parquet"
_OUTPUT = re.compile(r".+?/[0-9a-f]{32}(?=/)")
#: The remedy for a store that an older revision wrote.
REBUILD_HINT = (
    "`mammo pipeline run --local --recipe RECIPE --store URI` rebuilds it into an empty store"
)


class StoredFile(BaseModel):
    """A file of an output.

    Attributes:
        name: Name within the output, for instance `shard-00003` or `model.keras`.
        key: Key in the store.
        sha256: Digest of its bytes, hexadecimal.
        size: Size in bytes.
        count: Number of records; None if it has none.
        excluded: Ids of its records that are not part of the output, sorted: their sources were
            removed or changed after the file was written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    key: str
    sha256: str
    size: int
    count: int | None = None
    excluded: tuple[str, ...] = ()


class Manifest(BaseModel):
    """The output of a step.

    Attributes:
        kind: Folder of its kind, for instance `datasets/images`.
        id: Content address: depends on the inputs, not on time or location.
        schema_version: Version of this format.
        revision: The revision of the kind, raised when its outputs change.
        config: The configuration of the step.
        files: The files, sorted by name.
        counts: Numbers of records, rejects, …
        facts: What readers need to know, as JSON; `Kind.facts_of` returns them as a model.
        lineage: Ids of the inputs.
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
        """Folder of the output in the store."""
        return f"{self.kind}/{self.id}"

    @property
    def key(self) -> str:
        """Key of the manifest in the store."""
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
        """Return the manifest as it is stored; equal manifests have equal bytes.

        Shards that a table lists are left out: `shard_tables.complete` adds them again.
        """
        files = self.files
        if any(file.name == SHARD_TABLE for file in files):
            files = tuple(file for file in files if not file.name.startswith("shard-"))
        data = self.model_dump(mode="json", exclude={"files"})
        data["files"] = [file.model_dump(mode="json") for file in files]
        return json.dumps(data, sort_keys=True, indent=1) + "\n"


def content_id(
    kind: str,
    revision: int,
    config: Mapping[str, Any],
    inputs: Iterable[tuple[str, str]] = (),
) -> str:
    """Return the content address of an output.

    Args:
        kind: Folder of the kind of output.
        revision: Revision of the kind.
        config: The configuration of the step, JSON values only.
        inputs: (id, digest) of everything that goes in, in any order.
    """
    digest = hashlib.sha256()
    head = {"kind": kind, "revision": revision, "config": dict(config)}
    digest.update(json.dumps(head, sort_keys=True, separators=(",", ":")).encode())
    for item, source in sorted(inputs):
        digest.update(f"\n{item}\t{source}".encode())
    return digest.hexdigest()[:32]


def parse(text: str | bytes, origin: str) -> Manifest:
    """Read a manifest.

    Args:
        text: The manifest as JSON.
        origin: Its name in errors.

    Raises:
        RecordError: It is damaged, or of another schema version.
    """
    try:
        require_json_limits(text, max_keys=MAXIMUM_JSON_KEYS)
        manifest = Manifest.model_validate_json(text)
    except DocumentError as error:
        raise RecordError(
            f"The manifest {origin} cannot be read",
            expected=f"a manifest of schema version {SCHEMA_VERSION}",
            received=error.received,
        ) from error
    except ValidationError as error:
        _require_version(text, origin)  # its keys may be those of another version
        first = error.errors()[0]
        raise RecordError(
            f"The manifest {origin} cannot be read",
            expected=f"a manifest of schema version {SCHEMA_VERSION}",
            received=f"{first['msg']} at {'.'.join(map(str, first['loc'])) or 'the start'}",
        ) from error
    _require_version(text, origin)
    return manifest


def _require_version(text: str | bytes, origin: str) -> None:
    version: Any = None
    with suppress(ValueError, AttributeError):
        version = parse_json(text).get("schema_version")
    if version in (None, SCHEMA_VERSION):
        return
    older = isinstance(version, int) and version < SCHEMA_VERSION
    raise RecordError(
        f"The manifest {origin} has another schema version: "
        f"{'an older' if older else 'a later'} revision of Mammo Pipelines wrote it",
        expected=f"schema version {SCHEMA_VERSION}",
        received=str(version),
        hint=REBUILD_HINT if older else "use the revision that wrote it, or a later one",
    )


def read_manifest(store: Store, key: str) -> Manifest:
    """Read a stored manifest with all its files.

    Raises:
        RecordError: As in `parse`.
        StoreError: There is none, it is too large, or the store fails.
    """
    from mammo_core.datasets.shard_tables import complete

    return complete(store, parse(store.read(key, MAXIMUM_JSON_BYTES), key))


def find(store: Store, kind: str, id: str) -> Manifest | None:
    """Return the published manifest of an output, or None."""
    key = f"{kind}/{id}/manifest.json"
    if not store.exists(key):
        return None
    manifest = read_manifest(store, key)
    if manifest.key != key:
        raise RecordError(
            f"The manifest {key} is not of this output",
            expected=f"the manifest of {kind}/{id}",
            received=f"the manifest of {manifest.folder}",
        )
    return manifest


def verify_file(store: Store, file: StoredFile) -> None:
    """Read a stored file; RecordError if its bytes are not those of the manifest."""
    path = store.fetch(file.key)
    size = path.stat().st_size
    digest = file_sha256(path) if size == file.size else ""
    if digest != file.sha256:
        raise RecordError(
            f"The stored file {file.key} is damaged",
            expected=f"{file.size} bytes with SHA-256 {file.sha256}",
            received=f"{size} bytes" + (f" with SHA-256 {digest}" if digest else ""),
            hint="remove the folder of the output and run again",
        )


def fetch_verified(store: Store, file: StoredFile) -> Path:
    """Return a local copy of a stored file; RecordError as in `verify_file`."""
    verify_file(store, file)
    return store.fetch(file.key)


def publish(
    store: Store,
    manifest: Manifest,
    base: Manifest | None = None,
    lease: Lease | None = None,
) -> Manifest:
    """Verify every file of an output and publish it by writing its manifest.

    The manifest is written only if there is none (If-None-Match); an output that another attempt
    has published stays as it is.

    Args:
        store: Where the output is.
        manifest: The output.
        base: A published output; for files that are also in it, only presence and size are
            checked.
        lease: The lease of the output; it must not have been taken over.

    Returns:
        The published manifest: this one, or that of the attempt that was first.

    Raises:
        LeaseLostError: Another process has taken over the lease.
        RecordError: A file is damaged, or two files have the same name.
        StoreError: The store fails.
    """
    names = [file.name for file in manifest.files]
    if len(set(names)) != len(names):
        raise RecordError(
            f"The output {manifest.folder} has two files with the same name",
            expected="distinct names",
            received=", ".join(sorted(name for name in set(names) if names.count(name) > 1)),
        )
    ordered = manifest.model_copy(
        update={"files": tuple(sorted(manifest.files, key=lambda file: file.name))}
    )
    verified = {(file.key, file.sha256) for file in base.files} if base is not None else set()
    _require_present(store, [file for file in ordered.files if (file.key, file.sha256) in verified])
    for file in ordered.files:
        if (file.key, file.sha256) not in verified:
            verify_file(store, file)
    from mammo_core.datasets.shard_tables import with_shard_table

    ordered = with_shard_table(store, ordered)
    if lease is not None:
        lease.check()
    if store.write_if(ordered.key, ordered.to_json().encode(), None):
        return ordered
    published = find(store, manifest.kind, manifest.id)
    if published is None:
        raise StoreError(
            f"The output {manifest.folder} was removed while it was published",
            expected="the manifest of another attempt",
            received="none",
            hint="run the same command again",
        )
    return published


def _require_present(store: Store, files: list[StoredFile]) -> None:
    folders = {_output_of(file.key) for file in files}
    sizes = {entry.key: entry.size for folder in folders for entry in store.entries(f"{folder}/")}
    for file in files:
        if sizes.get(file.key) != file.size:
            raise RecordError(
                f"The stored file {file.key} is damaged",
                expected=f"{file.size} bytes, as when it was published",
                received=f"{sizes[file.key]} bytes" if file.key in sizes else "no such file",
                hint="`mammo store verify` lists all damaged files; remove the outputs concerned",
            )


def _output_of(key: str) -> str:
    """Return the folder of the output that a file was written for."""
    match = _OUTPUT.match(key)
    return match[0] if match else key.rpartition("/")[0]


def put_bytes(store: Store, folder: str, name: str, data: bytes) -> StoredFile:
    """Write bytes as a file of an output."""
    key = f"{folder}/{name}"
    store.write(key, data)
    return StoredFile(name=name, key=key, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
