"""Copy a tree of files into a store: resumable, verified, by several threads."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mammo_core.errors import StoreError
from mammo_core.store import scratch
from mammo_core.store.base import Entry, Store, file_sha256
from mammo_core.store.file import FileStore
from mammo_core.store.s3_requests import UnusableStoreError

#: After this many faults the other files are not tried: the server or the disk is broken.
_MAX_FAULTS: Final = 20


@dataclass
class UploadResult:
    """What an upload did.

    Attributes:
        sent: Files that were written.
        sent_bytes: Their bytes.
        unchanged: Files that the store already had, with the same bytes.
        faults: Key → why the file could not be stored.
        untried: Files that were not tried after too many faults.
    """

    sent: int = 0
    sent_bytes: int = 0
    unchanged: int = 0
    faults: dict[str, str] = field(default_factory=dict)
    untried: int = 0


def leads_outside(folder: Path, file: Path) -> bool:
    """Return whether a file in a folder is, or is below, a link that leads out of the folder.

    Args:
        folder: The folder.
        file: Its path through the folder.
    """
    return not file.resolve().is_relative_to(folder.resolve())


def upload(
    store: Store,
    files: Mapping[str, Path],
    *,
    threads: int = 8,
    read_back: bool = False,
    advance: Callable[[], None] | None = None,
) -> UploadResult:
    """Write files to a store, except those that it already holds with the same bytes.

    What was written is looked up again: its size and SHA-256 must be those of the file.

    Args:
        store: The target.
        files: Key → file.
        threads: Files uploaded at the same time.
        read_back: Whether to fetch what was written and hash its bytes, which doubles the
            traffic; a folder is always read back.
        advance: Called after every file.

    Returns:
        The counts and faults; a file that fails does not stop the others.

    Raises:
        UnusableStoreError: Server, bucket or credentials cannot be used: the other files are not
            tried.
        StoreError: The store cannot be listed.
    """
    result = UploadResult()
    unusable: list[UnusableStoreError] = []
    stored = {entry.key: entry for entry in store.entries("")}
    lock = threading.Lock()

    def upload_file(item: tuple[str, Path]) -> None:
        key, path = item
        with lock:
            if unusable or len(result.faults) >= _MAX_FAULTS:
                result.untried += 1
                return
        try:
            size = _put(store, key, path, stored.get(key), read_back)
        except UnusableStoreError as error:
            unusable.append(error)
        except (StoreError, OSError) as error:
            with lock:
                result.faults[key] = _reason(error)
        else:
            with lock:
                if size is None:
                    result.unchanged += 1
                else:
                    result.sent += 1
                    result.sent_bytes += size
        if advance is not None:
            advance()

    with ThreadPoolExecutor(threads) as pool:
        try:
            for _ in pool.map(upload_file, files.items()):
                pass
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if unusable:
        first = unusable[0]
        raise UnusableStoreError(
            f"{first.problem}; {result.sent} of {len(files)} files were sent before",
            expected=first.expected,
            received=first.received,
            hint=first.hint,
        )
    return result


def _put(store: Store, key: str, path: Path, stored: Entry | None, read_back: bool) -> int | None:
    """Write a file; returns its size, or None if the store already had it."""
    size, digest = path.stat().st_size, file_sha256(path)
    if stored is not None and stored.size == size and _matches(store.entry(key), size, digest):
        return None
    store.put_file(key, path)
    written = store.entry(key)
    if not _matches(written, size, digest):
        raise StoreError(
            f"{key!r} is not in {store.uri} as it was sent",
            expected=f"{size} bytes, SHA-256 {digest}",
            received=f"{written.size} bytes, SHA-256 {written.sha256}" if written else "nothing",
            hint="the file may have changed during the upload: run the same command again",
        )
    if read_back and not isinstance(store, FileStore):
        copy = store.fetch(key)  # checks the digest
        scratch.release(copy)
    return size


def _matches(entry: Entry | None, size: int, digest: str) -> bool:
    return entry is not None and entry.size == size and entry.sha256 == digest


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"The file cannot be read: {error.strerror or type(error).__name__}"
    return str(error)
