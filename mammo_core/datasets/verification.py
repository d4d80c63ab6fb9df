"""`mammo store verify`: whether all bytes are still those that were published."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from mammo_core.datasets.manifests import Manifest, StoredFile, read_manifest
from mammo_core.errors import MammoError, RecordError
from mammo_core.store import DamagedError, Store, TooLargeError


@dataclass
class VerificationReport:
    """The result of a verification.

    Attributes:
        outputs: Number of published outputs.
        files: Number of files that were read.
        bytes: Their total size.
        faults: Key → what is wrong with the file.
    """

    outputs: int = 0
    files: int = 0
    bytes: int = 0
    faults: dict[str, str] = field(default_factory=dict)


def verify_store(
    store: Store,
    more: Mapping[str, str] | None = None,
    advance: Callable[[int, int], None] | None = None,
) -> VerificationReport:
    """Read every file again and compare it with the digest of its publication.

    Files that no published output lists (runs, features) are compared with the digest that was
    stored with them on an S3 server.

    Args:
        store: The store.
        more: Key → SHA-256 of further files, for instance of model packages.
        advance: Called with the number of finished files and the total.

    Raises:
        StoreError: The server or the disk fails repeatedly.
    """
    report = VerificationReport()
    sizes = {entry.key: entry.size for entry in store.entries("")}
    published: dict[str, tuple[int | None, str]] = {}
    for manifest in _read_manifests(store, sizes, report):
        report.outputs += 1
        for file in manifest.files:
            _require_agreement(report, file, published.get(file.key))
            published[file.key] = (file.size, file.sha256)
    published.update({key: (None, digest) for key, digest in (more or {}).items()})
    expected = {**{key: (size, "") for key, size in sizes.items()}, **published}

    def verify(item: tuple[str, tuple[int | None, str]]) -> None:
        key, (size, digest) = item
        try:
            problem = _problem(store, key, sizes.get(key), size, digest)
        except RecordError as error:
            problem = str(error)
        if problem:
            report.faults.setdefault(key, problem)

    with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:
        for count, _ in enumerate(pool.map(verify, sorted(expected.items())), 1):
            if advance is not None:
                advance(count, len(expected))
    report.files = len(expected)
    report.bytes = sum(sizes.get(key, 0) for key in expected)
    return report


def _read_manifests(
    store: Store, sizes: Mapping[str, int], report: VerificationReport
) -> list[Manifest]:
    manifests = []
    for key in sizes:
        if not key.endswith("/manifest.json"):
            continue
        try:
            manifest = read_manifest(store, key)
        except (RecordError, DamagedError, TooLargeError) as error:
            report.faults[key] = str(error)
            continue
        if manifest.key == key:
            manifests.append(manifest)
        else:
            report.faults[key] = f"It is the manifest of {manifest.folder}."
    return manifests


def _require_agreement(
    report: VerificationReport, file: StoredFile, other: tuple[int | None, str] | None
) -> None:
    if other is not None and other != (file.size, file.sha256):
        report.faults[file.key] = "Two manifests list it with different digests."


def _problem(store: Store, key: str, stored_size: int | None, size: int | None, digest: str) -> str:
    """Return what is wrong with a file, or an empty text."""
    if stored_size is None:
        return f"It is missing. Expected SHA-256 {digest}."
    if size is not None and stored_size != size:
        return f"Expected {size} bytes. Received {stored_size}."
    try:
        stored_digest = store.sha256(key)
    except DamagedError as error:
        return f"Expected {error.expected}. Received {error.received}."
    except MammoError:
        if not store.exists(key):
            return "" if not digest else f"It is missing. Expected SHA-256 {digest}."
        raise
    if digest and stored_digest != digest:
        return f"Expected SHA-256 {digest}. Received SHA-256 {stored_digest}."
    return ""
