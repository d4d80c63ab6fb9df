"""The files of a source: a folder, or a prefix of an S3 bucket."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from mammo_core.errors import SourceError
from mammo_core.store import open_store, scratch
from mammo_core.store.base import Entry, file_sha256, validate_key
from mammo_core.store.file import FileStore

#: Enough for the header of a DICOM or PNG file (bytes).
_HEADER: Final = 2**16


if TYPE_CHECKING:  # quick to load: see the room
    from pydantic import TypeAdapter

    from mammo_core.sources.file_fact_cache import FileFactCache

_Answer = TypeVar("_Answer")


class SourceFiles:
    """The files under a root, by names relative to it (posix).

    Only what a listing shows is meant to be opened, so that no table leads out of the root.
    Names that start with a dot are left out; links to folders are followed, once each. It can
    be pickled, and used by several threads.

    Args:
        uri: A plain folder, `file:///folder`, or `s3://bucket/prefix`.
    """

    def __init__(self, uri: str) -> None:
        self._store = open_store(uri)
        self._root = self._store.root if isinstance(self._store, FileStore) else None
        #: What earlier runs found out about these files; None: nothing is kept.
        self.fact_cache: FileFactCache | None = None

    @classmethod
    def open(cls, uri: str) -> "SourceFiles":
        """Return the files at a URI; nothing is read yet.

        Args:
            uri: A plain folder, `file:///folder`, or `s3://bucket/prefix`.

        Raises:
            StoreError: The URI names no place.
        """
        return cls(uri)

    def __reduce__(self) -> tuple[type["SourceFiles"], tuple[str]]:
        return SourceFiles, (self.uri,)

    @property
    def uri(self) -> str:
        """Where the root is, absolute: `file:///folder` or `s3://bucket/prefix`."""
        return self._store.uri

    @property
    def folder(self) -> Path | None:
        """The root on this machine, absolute; None when it lies in a bucket."""
        return self._root

    @property
    def remote(self) -> bool:
        """Whether a file has to be fetched before it can be read."""
        return self._root is None

    def cached(
        self,
        question: str,
        names: Sequence[str],
        kind: "TypeAdapter[_Answer]",
        work: Callable[[], _Answer],
    ) -> _Answer:
        """Return the answer to a question about files: a kept one, or found out now.

        Args:
            question: What is asked.
            names: The files that the answer follows from.
            kind: Writes answers as JSON and reads them.
            work: Finds the answer out.
        """
        if self.fact_cache is None or not all(name in self.entries for name in names):
            return work()
        entries = [self.entries[name] for name in names]
        return self.fact_cache.cached(question, entries, kind, work)

    def require(self, told: str, hint: str | None = None) -> None:
        """Refuse a root that is not there.

        Args:
            told: What the root was called, for the message (`image folder data/phantom`).
            hint: What to do about it.

        Raises:
            SourceError: No folder, or no object under the prefix.
        """
        there = self._root.is_dir() if self._root is not None else bool(self.entries)
        if not there:
            raise SourceError(
                f"The {told} cannot be opened",
                expected="an existing folder, or a prefix of a bucket that holds objects",
                received="no folder of that name" if self._root is not None else "no object",
                hint=hint,
            )

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Name → size and version of every file, sorted by name; listed once."""
        listed = self._walk() if self._root is not None else self._objects()
        return {entry.key: entry for entry in sorted(listed, key=lambda entry: entry.key)}

    def names(self, folder: str = "") -> list[str]:
        """Return the names under a folder, in all depths, sorted.

        Args:
            folder: Relative to the root; empty for all.
        """
        start = f"{folder.rstrip('/')}/" if folder else ""
        return [name for name in self.entries if name.startswith(start)]

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name.

        Args:
            name: Relative to the root.
        """
        return self._store.exists(name)

    def local(self, name: str) -> Path:
        """Return a local file with the bytes of a file, to be read only.

        From S3 it is fetched to the scratch cache and checked against its stored digest; it
        stays there while this process runs: `as_local_file` is for long lists of files.

        Args:
            name: Relative to the root.

        Raises:
            StoreError: The server or the disk failed, or there is no such object. (A missing
                local file is met by who opens it.)
        """
        if self._root is not None:
            return self._root / validate_key(name)
        return self._store.fetch(name)

    @contextmanager
    def as_local_file(self, name: str) -> Iterator[Path]:
        """Give a local file for the length of a block; the cache may drop it after.

        Args:
            name: Relative to the root.
        """
        path = self.local(name)
        try:
            yield path
        finally:
            if self.remote:
                scratch.release(path)

    @contextmanager
    def as_local_header(self, name: str) -> Iterator[Path]:
        """Give a local file that starts as a file does, to read a header from.

        A local file is given itself; of an object only its first 64 KiB, so whoever cannot
        read the header from them has to try `as_local_file`.

        Args:
            name: Relative to the root.
        """
        if not self.remote:
            yield self.local(name)
            return
        with tempfile.TemporaryDirectory(prefix="mammo-header-") as folder:
            path = Path(folder) / Path(name).name
            path.write_bytes(self.head(name, _HEADER))
            yield path

    def head(self, name: str, size: int) -> bytes:
        """Return the first bytes of a file.

        Args:
            name: Relative to the root.
            size: How many at most.
        """
        if isinstance(self._store, FileStore):
            with self.local(name).open("rb") as file:
                return file.read(size)
        known = self.entries.get(name) or self._store.entry(name)
        if known is not None and known.size == 0:
            return b""  # no range of it can be asked for
        from mammo_core.store.s3 import S3Store

        return self._store.read_start(name, size) if isinstance(self._store, S3Store) else b""

    def entry(self, name: str) -> Entry | None:
        """Return what is known of one file, its SHA-256 too; None when there is none.

        Args:
            name: Relative to the root.
        """
        return self._store.entry(name)

    def stored_sha256(self, name: str) -> str:
        """Return the digest that the store was told when the file was written, or nothing.

        Args:
            name: Relative to the root.
        """
        found = self._store.entry(name) if self.remote else None
        return found.sha256 if found is not None else ""

    def sha256(self, name: str) -> str:
        """Return the SHA-256 of a file's bytes, hexadecimal; they are read.

        Args:
            name: Relative to the root.
        """
        with self.as_local_file(name) as path:
            return file_sha256(path)

    def _objects(self) -> Iterator[Entry]:
        for entry in self._store.entries(""):
            # "folders" that some clients make, and names that are no relative paths
            if not any(part in ("", ".", "..") for part in entry.key.split("/")):
                yield entry

    def _walk(self) -> Iterator[Entry]:
        root = self._root
        if root is None or not root.is_dir():
            return
        visited: set[str] = set()
        pending = [""]
        while pending:
            place = pending.pop()
            real = os.path.realpath(root / place)
            if real in visited:
                continue  # a link that leads back
            visited.add(real)
            with os.scandir(root / place) as found:
                for item in found:
                    if item.name.startswith("."):
                        continue
                    name = f"{place}/{item.name}" if place else item.name
                    if item.is_dir():
                        pending.append(name)
                    elif item.is_file():
                        facts = item.stat()
                        yield Entry(name, facts.st_size, str(facts.st_mtime_ns))
