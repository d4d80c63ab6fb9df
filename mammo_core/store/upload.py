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

#: After so many faults the rest is not tried: the server or the disk is at fault.
_FAULTS: Final = 20


@dataclass
class UploadResult:
    """What an upload did.

    Attributes:
        sent: Files that were written.
        sent_bytes: Their bytes.
        present: Files that were there already, with the same bytes.
        faults: Name → why it is not in the store, of those that were tried.
        untried: Files that were left after too many faults.
    """

    sent: int = 0
    sent_bytes: int = 0
    present: int = 0
    faults: dict[str, str] = field(default_factory=dict)
    untried: int = 0


def upload(
    store: Store,
    files: Mapping[str, Path],
    *,
    threads: int = 8,
    read_back: bool = False,
    advance: Callable[[], None] | None = None,
) -> UploadResult:
    """Write files under their names, but those that the store holds with the same bytes.

    What was written is looked up again: its size and SHA-256 must be those of the file.

    Args:
        store: Where to.
        files: Key → file.
        threads: Files at a time.
        read_back: Whether to fetch what was written and hash its bytes, which doubles the
            traffic; a folder is always read back.
        advance: Called after every file.

    Returns:
        What was done; a file that fails does not keep the others from being sent.

    Raises:
        StoreError: The store cannot be listed.
    """
    told = UploadResult()
    there = {entry.key: entry for entry in store.entries("")}
    lock = threading.Lock()

    def one(item: tuple[str, Path]) -> None:
        key, path = item
        with lock:
            if len(told.faults) >= _FAULTS:
                told.untried += 1
                return
        try:
            size = _put(store, key, path, there.get(key), read_back)
        except (StoreError, OSError) as error:
            with lock:
                told.faults[key] = _told(error)
        else:
            with lock:
                if size is None:
                    told.present += 1
                else:
                    told.sent += 1
                    told.sent_bytes += size
        if advance is not None:
            advance()

    with ThreadPoolExecutor(threads) as pool:
        try:
            for _ in pool.map(one, files.items()):
                pass
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return told


def _put(store: Store, key: str, path: Path, there: Entry | None, read_back: bool) -> int | None:
    """Write a file; returns its size, or None when it was there."""
    size, digest = path.stat().st_size, file_sha256(path)
    if there is not None and there.size == size and _same(store.entry(key), size, digest):
        return None
    store.put_file(key, path)
    found = store.entry(key)
    if not _same(found, size, digest):
        raise StoreError(
            f"{key!r} is not in {store.uri} as it was sent",
            expected=f"{size} bytes, SHA-256 {digest}",
            received="nothing" if found is None else f"{found.size} bytes, SHA-256 {found.sha256}",
            hint="did the file change meanwhile? Run the same command again",
        )
    if read_back and not isinstance(store, FileStore):
        copy = store.fetch(key)  # checks the digest
        scratch.release(copy)
    return size


def _same(entry: Entry | None, size: int, digest: str) -> bool:
    return entry is not None and entry.size == size and entry.sha256 == digest


def _told(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"The file cannot be read: {error.strerror or type(error).__name__}"
    return str(error)
