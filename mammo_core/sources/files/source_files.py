"""The files of a source: a folder, or a prefix of an S3 bucket."""

import errno
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from mammo_core.errors import SourceError
from mammo_core.sources.identity.patients import content_key, fingerprint
from mammo_core.store import open_store, scratch
from mammo_core.store.base import Entry, file_sha256, validate_key
from mammo_core.store.file import FileStore

#: Enough for the header of a DICOM or PNG file (bytes).
_HEADER: Final = 2**16
#: Backslashes, and what Python makes of bytes of a file name that are not UTF-8 (PEP 383).
_NOT_PLAIN: Final = re.compile("[\\\\\udc80-\udcff]")


if TYPE_CHECKING:  # quick to load: see the package
    from pydantic import TypeAdapter

    from mammo_core.sources.files.file_fact_cache import FileFactCache
    from mammo_core.sources.identity.exam_days import ExamDays

_Answer = TypeVar("_Answer")


class SourceFiles:
    """The files under a root, by names relative to it (posix).

    Callers open only listed names, so that no table leads out of the root. Names that start
    with a dot are left out; links to folders are followed, once each. Instances can be pickled
    and used by several threads.

    Args:
        uri: A plain folder, `file:///folder`, or `s3://bucket/prefix`.
        lossy_jpeg: Whether JPEG pictures among them are read.
    """

    def __init__(self, uri: str, lossy_jpeg: bool = False) -> None:
        self._store = open_store(uri)
        self._root = self._store.root if isinstance(self._store, FileStore) else None
        #: Whether JPEG pictures among them are read.
        self.lossy_jpeg = lossy_jpeg
        #: Facts about these files from earlier runs; None keeps nothing.
        self.fact_cache: FileFactCache | None = None
        #: Days of the exams that the store of results has seen; None begins anew.
        self.exam_days: ExamDays | None = None
        #: Site key under which ids of files are computed; None: ids are digests.
        self.site_key: bytes | None = None

    @classmethod
    def open(cls, uri: str, *, lossy_jpeg: bool = False) -> "SourceFiles":
        """Return the files at a URI; nothing is read yet.

        Args:
            uri: A plain folder, `file:///folder`, or `s3://bucket/prefix`.
            lossy_jpeg: Whether JPEG pictures among them are read.

        Raises:
            StoreError: The URI is not valid.
        """
        return cls(uri, lossy_jpeg)

    def __reduce__(self) -> tuple[type["SourceFiles"], tuple[str, bool]]:
        return SourceFiles, (self.uri, self.lossy_jpeg)

    @property
    def uri(self) -> str:
        """The root, absolute: `file:///folder` or `s3://bucket/prefix`."""
        return self._store.uri

    @property
    def folder(self) -> Path | None:
        """The root on this machine, absolute; None when it is in a bucket."""
        return self._root

    @property
    def remote(self) -> bool:
        """Whether a file has to be fetched before it can be read."""
        return self._root is None

    def cached(
        self,
        question: str,
        names: Sequence[str],
        answers: "TypeAdapter[_Answer]",
        compute: Callable[[], _Answer],
    ) -> _Answer:
        """Return the answer to a question about files, from the cache or computed now.

        Args:
            question: The question, with everything but the files that the answer depends on.
            names: The files that the answer depends on.
            answers: Serializes answers as JSON and reads them.
            compute: Computes the answer.
        """
        if self.fact_cache is None or not all(name in self.entries for name in names):
            return compute()
        if self.site_key is not None:  # answers may contain ids
            question = f"{question}, ids under {fingerprint(self.site_key)}"
        if self.lossy_jpeg:
            question = f"{question}, JPEG is read"
        entries = [self.entries[name] for name in names]
        return self.fact_cache.cached(question, entries, answers, compute)

    def content_id(self, digest: str) -> str:
        """Return what identifies the content of a file: its digest, or that under the site key.

        Args:
            digest: SHA-256 of the file, hexadecimal.
        """
        return digest if self.site_key is None else content_key(self.site_key, digest)

    def require_root(self, description: str, hint: str | None = None) -> None:
        """Refuse a root that does not exist.

        Args:
            description: The root in the words of the message (`image folder data/phantom`).
            hint: What to do about it.

        Raises:
            SourceError: There is no folder, or no object under the prefix.
        """
        exists = self._root.is_dir() if self._root is not None else bool(self.entries)
        if not exists:
            raise SourceError(
                f"The {description} cannot be opened",
                expected="an existing folder, or a prefix of a bucket with objects",
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
        """Return a local file with the bytes of a file, for reading only.

        From S3 it is fetched to the scratch cache and checked against its stored digest; it
        stays there while this process runs, so use `as_local_file` for many files.

        Args:
            name: Relative to the root.

        Raises:
            StoreError: The server or the disk failed, or there is no such object. (Opening a
                missing local file fails later.)
        """
        if self._root is not None:
            return self._root / validate_key(name)
        return self._store.fetch(name)

    @contextmanager
    def as_local_file(self, name: str) -> Iterator[Path]:
        """Yield a local file for the length of a block; the cache may drop it afterwards.

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
        """Yield a local file with at least the start of a file, to read its header.

        A local file is yielded itself, of an object only the first 64 KiB: a header that
        cannot be read from them needs `as_local_file`.

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
            size: Number of bytes at most.
        """
        if isinstance(self._store, FileStore):
            with self.local(name).open("rb") as file:
                return file.read(size)
        entry = self.entries.get(name) or self._store.entry(name)
        if entry is not None and entry.size == 0:
            return b""  # an empty object has no range to request
        from mammo_core.store.s3 import S3Store

        return self._store.read_start(name, size) if isinstance(self._store, S3Store) else b""

    def entry(self, name: str) -> Entry | None:
        """Return size, version and SHA-256 of a file; None when there is none.

        Args:
            name: Relative to the root.
        """
        return self._store.entry(name)

    def stored_sha256(self, name: str) -> str:
        """Return the digest that is stored with an object, or an empty string.

        Args:
            name: Relative to the root.
        """
        entry = self._store.entry(name) if self.remote else None
        return entry.sha256 if entry is not None else ""

    def sha256(self, name: str) -> str:
        """Read a file and return the SHA-256 of its bytes, hexadecimal.

        Args:
            name: Relative to the root.
        """
        with self.as_local_file(name) as path:
            return file_sha256(path)

    def _objects(self) -> Iterator[Entry]:
        for entry in self._store.entries(""):
            # Some clients create "folders", and names that are not relative paths.
            if not any(part in ("", ".", "..") for part in entry.key.split("/")):
                yield entry

    def _walk(self) -> Iterator[Entry]:
        root = self._root
        if root is None or not root.is_dir():
            return
        visited: set[str] = set()
        pending = [""]
        while pending:
            folder = pending.pop()
            real = os.path.realpath(root / folder)
            if real in visited:
                continue  # a link that leads back
            visited.add(real)
            with os.scandir(root / folder) as items:
                for item in items:
                    if item.name.startswith("."):
                        continue
                    name = f"{folder}/{item.name}" if folder else item.name
                    if _leads_in_a_circle(item):
                        continue
                    if item.is_dir():
                        pending.append(name)
                    elif item.is_file():
                        status = item.stat()
                        yield Entry(plain_name(name), status.st_size, str(status.st_mtime_ns))


def plain_name(name: str) -> str:
    """Return the name of a file with U+FFFD and two digits for a backslash or a byte of no text.

    Tables are UTF-8, and keys of stores have no backslash. Such a file of a source is listed by a
    name under which it cannot be opened, so it becomes a reject.
    """
    return _NOT_PLAIN.sub(lambda sign: f"\ufffd{ord(sign[0]) & 0xFF:02x}", name)


def _leads_in_a_circle(item: "os.DirEntry[str]") -> bool:
    """Whether an entry of a folder is a link to itself: no file, as a link that leads nowhere."""
    try:
        item.is_dir()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return True
    return False
