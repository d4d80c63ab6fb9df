"""`mammo store verify`: whether the bytes are still those that were published."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from mammo_core.datasets.manifests import Manifest, StoredFile, parse
from mammo_core.errors import MammoError, RecordError
from mammo_core.store import DamagedError, Store


@dataclass
class Verified:
    """What a verification found.

    Attributes:
        outputs: Published outputs.
        files: Files whose bytes were read.
        bytes: Their bytes.
        faults: Key → what is wrong with it.
    """

    outputs: int = 0
    files: int = 0
    bytes: int = 0
    faults: dict[str, str] = field(default_factory=dict)


def verify_store(
    store: Store,
    more: Mapping[str, str] | None = None,
    advance: Callable[[int, int], None] | None = None,
) -> Verified:
    """Read every published file again and compare it with the digest of its publication.

    Objects that nothing published names (runs, parts of features) are compared with the digest
    that an S3 store was told with them.

    Args:
        store: The store.
        more: Key → SHA-256 of further files, of model packages for instance.
        advance: Told how many files are done, of how many.

    Raises:
        StoreError: The server or the disk fails, again and again.
    """
    told = Verified()
    sizes = {entry.key: entry.size for entry in store.entries("")}
    expected: dict[str, tuple[int | None, str]] = {}
    for manifest in _manifests(store, sizes, told):
        told.outputs += 1
        for file in manifest.files:
            expected[file.key] = _agreed(told, file, expected.get(file.key))
    expected.update({key: (None, digest) for key, digest in (more or {}).items()})
    checked = {**{key: (size, "") for key, size in sizes.items()}, **expected}

    def look(item: tuple[str, tuple[int | None, str]]) -> None:
        key, (size, digest) = item
        try:
            problem = _problem(store, key, sizes.get(key), size, digest)
        except RecordError as error:
            problem = str(error)
        if problem:
            told.faults.setdefault(key, problem)

    with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:
        for done, _ in enumerate(pool.map(look, sorted(checked.items())), 1):
            if advance is not None:
                advance(done, len(checked))
    told.files = len(checked)
    told.bytes = sum(sizes.get(key, 0) for key in checked)
    return told


def _manifests(store: Store, sizes: Mapping[str, int], told: Verified) -> list[Manifest]:
    found = []
    for key in sizes:
        if not key.endswith("/manifest.json") or key.startswith("models/"):
            continue
        try:
            manifest = parse(store.read(key), key)
        except (RecordError, DamagedError) as error:
            told.faults[key] = str(error)
            continue
        if manifest.key == key:
            found.append(manifest)
        else:
            told.faults[key] = f"It is the manifest of {manifest.folder}."
    return found


def _agreed(
    told: Verified, file: StoredFile, other: tuple[int | None, str] | None
) -> tuple[int | None, str]:
    if other is not None and other != (file.size, file.sha256):
        told.faults[file.key] = "Two manifests name it with different digests."
    return file.size, file.sha256


def _problem(store: Store, key: str, there: int | None, size: int | None, digest: str) -> str:
    if there is None:
        return f"It is missing. Expected SHA-256 {digest}."
    if size is not None and there != size:
        return f"Expected {size} bytes. Received {there}."
    try:
        found = store.sha256(key)
    except DamagedError as error:
        return f"Expected {error.expected}. Received {error.received}."
    except MammoError:
        if not store.exists(key):
            return "" if not digest else f"It is missing. Expected SHA-256 {digest}."
        raise
    if digest and found != digest:
        return f"Expected SHA-256 {digest}. Received SHA-256 {found}."
    return ""
