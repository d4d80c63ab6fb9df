"""The embedded store: a local folder."""

import errno
import fcntl
import hashlib
import io
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from mammo_core.documents import DocumentError, read_bounded
from mammo_core.errors import StoreError
from mammo_core.store.base import (
    MAXIMUM_READ_BYTES,
    Entry,
    file_sha256,
    print_wait,
    too_large_error,
    validate_key,
)
from mammo_core.store.lease import LEASES, ObjectLease, hold

#: Error numbers of a full disk (EFBIG: a limit on the size of files).
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Names that start with a dot are internal to the store and never listed.
_LOCKS = ".locks"
_PART = ".part-"
#: A process that was paused while it swapped a file keeps the others of its lock waiting (seconds).
_SWAP_WAIT_S = 60.0


class FileStore:
    """A store in a local folder: keys are paths, writes are renames.

    Args:
        root: The folder; created by the first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @property
    def uri(self) -> str:
        """`file:///absolute/folder`."""
        return self.root.as_uri()

    def require_exists(self) -> None:
        """See Store.require_exists."""
        if not self.root.is_dir():
            raise StoreError(
                f"There is no store at {self.uri}",
                expected="an existing folder",
                received="no folder of that name",
            )

    def read(self, key: str, max_bytes: int = MAXIMUM_READ_BYTES) -> bytes:
        """See Store.read."""
        with self._as_store_errors("read", key):
            return self._read(key, max_bytes)

    def write(self, key: str, data: bytes) -> None:
        """See Store.write."""
        with self._as_store_errors("write", key), self._replacement(key) as part:
            _copy_and_fsync(io.BytesIO(data), part)

    def write_if(self, key: str, data: bytes, previous: bytes | None) -> bool:
        """See Store.write_if."""
        etag = None if previous is None else _digest(previous)
        return self.put_if(key, data, etag) is not None

    def put_if(self, key: str, data: bytes, etag: str | None) -> str | None:
        """Write if the file has this digest (None: if there is no file).

        Returns:
            The new digest; None when the condition did not hold.
        """
        final = self._path(key)
        with self._as_store_errors("write", key), self._part(final) as part:
            _copy_and_fsync(io.BytesIO(data), part)
            written = _link_new(part, final) if etag is None else None
            if written is None:  # hard links are unknown here, or a file is replaced
                with self._lock_of(key):
                    current = file_sha256(final) if final.is_file() else None
                    written = current == etag
                    if written:
                        part.replace(final)
        return _digest(data) if written else None

    def state(self, key: str, max_bytes: int = MAXIMUM_READ_BYTES) -> tuple[bytes, str] | None:
        """Return a file's bytes and digest, or None when there is none."""
        try:
            data = self._read(key, max_bytes)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise self._store_error("read", key, error) from error
        return data, _digest(data)

    def put_file(self, key: str, path: Path) -> None:
        """See Store.put_file."""
        with (
            self._as_store_errors("write", key),
            self._replacement(key) as part,
            path.open("rb") as source,
        ):
            _copy_and_fsync(source, part)

    def fetch(self, key: str) -> Path:
        """See Store.fetch: the stored file itself."""
        path = self._path(key)
        if not path.is_file():
            raise _missing_error(self.uri, key)
        return path

    def exists(self, key: str) -> bool:
        """See Store.exists."""
        return self._path(key).is_file()

    def list(self, prefix: str) -> Iterator[str]:
        """See Store.list."""
        top = self.root / validate_key(prefix.rstrip("/")) if prefix else self.root
        keys = []
        with self._as_store_errors("list", prefix or "/"):
            for folder, names, files in os.walk(top, onerror=_raise_unless_absent):
                names[:] = [name for name in names if not name.startswith(".")]
                base = Path(folder).relative_to(self.root)
                keys += [(base / name).as_posix() for name in files if not name.startswith(".")]
        # By whole keys, as S3 does: "a-b/x" comes before "a/x".
        yield from sorted(keys)

    def entries(self, prefix: str) -> Iterator[Entry]:
        """See Store.entries."""
        for key in self.list(prefix):
            with suppress(FileNotFoundError):  # removed since it was listed
                yield self._entry(key)

    def entry(self, key: str) -> Entry | None:
        """See Store.entry: the file is read for its digest."""
        path = self._path(key)
        if not path.is_file():
            return None
        with self._as_store_errors("read", key):
            return replace(self._entry(key), sha256=file_sha256(path))

    def _entry(self, key: str) -> Entry:
        facts = self._path(key).stat()
        return Entry(key, facts.st_size, str(facts.st_mtime_ns), modified=facts.st_mtime)

    def sha256(self, key: str) -> str:
        """See Store.sha256."""
        with self._as_store_errors("read", key):
            return file_sha256(self._path(key))

    def unfinished_writes(self) -> Iterator[Entry]:
        """See Store.unfinished_writes: files that were not renamed."""
        with self._as_store_errors("list", "/"):
            for folder, _, files in os.walk(self.root, onerror=_raise_unless_absent):
                base = Path(folder).relative_to(self.root)
                for name in sorted(files):
                    if name.startswith(_PART):
                        with suppress(FileNotFoundError):  # renamed since
                            yield self._entry((base / name).as_posix())

    def delete(self, key: str) -> None:
        """See Store.delete."""
        with self._as_store_errors("delete", key), suppress(NotADirectoryError):
            path = self._path(key)
            path.unlink(missing_ok=True)
            # Attempts have folders of their own: without its last file, a folder is removed.
            for folder in path.relative_to(self.root).parents:
                with suppress(OSError):  # it is not empty
                    if folder.name:
                        (self.root / folder).rmdir()

    def lease(
        self, key: str, wait_s: float | None = None, on_wait: Callable[[str], None] = print_wait
    ) -> AbstractContextManager[ObjectLease]:
        """See Store.lease."""
        # A digest: keys hold slashes and may be longer than a file's name.
        file = f"{LEASES}/{_digest(validate_key(key).encode())[:32]}"
        return hold(self, file, key, wait_s, on_wait)

    def lease_files(self) -> Iterator[Entry]:
        """See Store.lease_files."""
        with self._as_store_errors("list", LEASES), suppress(FileNotFoundError):
            for path in sorted((self.root / LEASES).iterdir()):
                if not path.name.startswith("."):
                    with suppress(FileNotFoundError):  # removed since
                        yield self._entry(f"{LEASES}/{path.name}")

    def _read(self, key: str, max_bytes: int) -> bytes:
        try:
            return read_bounded(self._path(key), max_bytes)
        except DocumentError as error:
            raise too_large_error(self.uri, key, max_bytes) from error

    def _path(self, key: str) -> Path:
        return self.root / validate_key(key)

    @contextmanager
    def _replacement(self, key: str) -> Iterator[Path]:
        """Yield a new file beside that of a key, and replace the key's file by it at the end."""
        final = self._path(key)
        with self._part(final) as part:
            yield part
            part.replace(final)

    @contextmanager
    def _part(self, final: Path) -> Iterator[Path]:
        """Yield a new file beside another, which is gone at the end."""
        part = final.parent / f"{_PART}{os.getpid()}-{uuid4().hex[:8]}"
        while not part.exists():
            final.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # another process has just emptied the folder
                part.open("xb").close()
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def _lock_of(self, key: str) -> Iterator[None]:
        """Hold the lock of a key, which the kernel drops when the process dies.

        Only a comparison and a renaming are done under it, so waiting is short.
        """
        path = self.root / _LOCKS / _digest(key.encode())[:2]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            deadline, pause = time.monotonic() + _SWAP_WAIT_S, 0.001
            while True:
                with suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"Another process has been replacing a file of {self.uri} for too long",
                        expected=f"at most {_SWAP_WAIT_S:.0f} s",
                        received=f"a lock on {path} that is still held",
                        hint="the process may be paused: continue or stop it",
                    )
                time.sleep(pause)
                pause = min(2 * pause, 0.1)
            yield

    @contextmanager
    def _as_store_errors(self, verb: str, key: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            if verb == "read":
                raise _missing_error(self.uri, key) from error
            raise self._store_error(verb, key, error) from error
        except OSError as error:
            raise self._store_error(verb, key, error) from error

    def _store_error(self, verb: str, key: str, error: OSError) -> StoreError:
        full = error.errno in DISK_FULL
        return StoreError(
            f"Cannot {verb} {key!r} in the store {self.uri}",
            expected="space on the disk" if full else "a folder that can be read and written",
            received=error.strerror or str(error),
            hint="free some space and run the same command again; completed files are kept"
            if full
            else "choose another store with --store",
        )


def _link_new(part: Path, final: Path) -> bool | None:
    """Give a complete file its name if nothing has it; None where there are no hard links."""
    try:
        os.link(part, final)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            return None
        raise
    return True


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _copy_and_fsync(source: BinaryIO, target: Path) -> None:
    """Copy to a new file and flush it to the disk, so that it survives a power cut whole."""
    with target.open("wb") as file:
        shutil.copyfileobj(source, file, 2**20)
        file.flush()
        os.fsync(file.fileno())


def _raise_unless_absent(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


def _missing_error(uri: str, key: str) -> StoreError:
    return StoreError(
        f"The store {uri} has no {key!r}",
        expected="a key that was written before",
        received="none of that name",
    )
