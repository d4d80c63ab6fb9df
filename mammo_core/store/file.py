"""The embedded store: a local folder."""

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from mammo_core.errors import StoreError
from mammo_core.store.base import LEASE_WAIT_S, check_key

# Names that start with a dot are the store's own and never listed.
_LEASES = ".leases"
_PART = ".part-"


class FileStore:
    """A store in a local folder: keys are paths, writes are renames.

    Args:
        root: The folder; made when it is first written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @property
    def uri(self) -> str:
        """`file:///absolute/folder`."""
        return self.root.as_uri()

    def read(self, key: str) -> bytes:
        """See Store.read."""
        with self._faults("read", key):
            return self._path(key).read_bytes()

    def write(self, key: str, data: bytes) -> None:
        """See Store.write."""
        with self._faults("write", key), self._aside(key) as part:
            part.write_bytes(data)

    def write_if(self, key: str, data: bytes, previous: bytes | None) -> bool:
        """See Store.write_if."""
        # One lock for all conditional writes: they are rare and take microseconds.
        with self._locked("conditional-writes", wait_s=60.0):
            current = self.read(key) if self.exists(key) else None
            if current != previous:
                return False
            self.write(key, data)
            return True

    def put_file(self, key: str, path: Path) -> None:
        """See Store.put_file."""
        with self._faults("write", key), self._aside(key) as part:
            shutil.copyfile(path, part)

    def fetch(self, key: str) -> Path:
        """See Store.fetch: the stored file itself."""
        path = self._path(key)
        if not path.is_file():
            raise _missing(self.uri, key)
        return path

    def exists(self, key: str) -> bool:
        """See Store.exists."""
        return self._path(key).is_file()

    def list(self, prefix: str) -> Iterator[str]:
        """See Store.list."""
        top = self.root / check_key(prefix.rstrip("/")) if prefix else self.root
        for folder, names, files in os.walk(top):
            names[:] = sorted(name for name in names if not name.startswith("."))
            base = Path(folder)
            for name in sorted(files):
                if not name.startswith("."):
                    yield (base / name).relative_to(self.root).as_posix()

    def delete(self, key: str) -> None:
        """See Store.delete."""
        with self._faults("delete", key):
            self._path(key).unlink(missing_ok=True)

    @contextmanager
    def lease(self, key: str, wait_s: float = LEASE_WAIT_S) -> Iterator["FileStore"]:
        """See Store.lease: a lock that the kernel drops when the process dies."""
        with self._locked(check_key(key).replace("/", "+"), wait_s):
            yield self

    def check(self) -> None:
        """A file lock cannot be lost while its process lives."""

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    @contextmanager
    def _aside(self, key: str) -> Iterator[Path]:
        final = self._path(key)
        final.parent.mkdir(parents=True, exist_ok=True)
        part = final.parent / f"{_PART}{os.getpid()}-{uuid4().hex[:8]}"
        try:
            yield part
            part.replace(final)
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, name: str, wait_s: float) -> Iterator[None]:
        path = self.root / _LEASES / name
        with self._faults("lease", name):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("ab")
        with file:
            deadline = time.monotonic() + wait_s
            while True:
                with suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"Another process has been writing {name} for more than {wait_s:.0f} s",
                        expected="that process to end",
                        received=f"a lease that is still held in {self.uri}",
                        hint="wait for the other run, or stop it",
                    )
                time.sleep(0.2)
            yield

    @contextmanager
    def _faults(self, verb: str, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if verb == "read":
                raise _missing(self.uri, key) from error
            raise self._fault(verb, key, error) from error
        except OSError as error:
            raise self._fault(verb, key, error) from error

    def _fault(self, verb: str, key: str, error: OSError) -> StoreError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return StoreError(
            f"Cannot {verb} {key!r} in the store {self.uri}",
            expected="space on the disk" if full else "a folder that can be read and written",
            received=error.strerror or str(error),
            hint="free some space and run the same command again; what is whole is kept"
            if full
            else "choose another place with --store",
        )


def _missing(uri: str, key: str) -> StoreError:
    return StoreError(
        f"The store {uri} has no {key!r}",
        expected="a key that was written before",
        received="none of that name",
    )
