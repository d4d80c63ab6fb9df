"""The files of several sources, under the names of their sources."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from mammo_core.errors import SourceError
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.several.names import named_path, split_path
from mammo_core.store.base import Entry


class JoinedFiles(SourceFiles):
    """The files of several sources, each as `<name of the source>/<name of the file>`.

    Args:
        sources: Name of a source → its files.
    """

    def __init__(self, sources: Mapping[str, SourceFiles]) -> None:
        self._sources = dict(sources)
        self.lossy_jpeg = any(files.lossy_jpeg for files in self._sources.values())
        self.fact_cache = None
        self.exam_days = None
        self.site_key = next(
            (files.site_key for files in self._sources.values() if files.site_key), None
        )

    def __reduce__(self) -> tuple[type["JoinedFiles"], tuple[dict[str, SourceFiles]]]:  # type: ignore[override]
        return JoinedFiles, (self._sources,)

    @property
    def uri(self) -> str:
        """The roots of all sources, for messages."""
        return ", ".join(f"{name}={files.uri}" for name, files in self._sources.items())

    @property
    def folder(self) -> Path | None:
        """None: there is no one folder."""
        return None

    @property
    def remote(self) -> bool:
        """Whether files of any source have to be fetched before they can be read."""
        return any(files.remote for files in self._sources.values())

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Name → size and version of every file of every source, sorted by name."""
        listed = {
            named_path(name, key): replace(entry, key=named_path(name, key))
            for name, files in self._sources.items()
            for key, entry in files.entries.items()
        }
        return dict(sorted(listed.items()))

    def require_root(self, description: str, hint: str | None = None) -> None:
        """Refuse roots of which one does not exist: see `SourceFiles.require_root`.

        Args:
            description: The roots in the words of the message.
            hint: What to do about it.
        """
        for name, files in self._sources.items():
            files.require_root(f"{description} of the source {name}", hint)

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name.

        Args:
            name: `<name of the source>/<name of the file>`.
        """
        files, rest = self._at(name)
        return files.exists(rest)

    def local(self, name: str) -> Path:
        """Return a local file with the bytes of a file: see `SourceFiles.local`.

        Args:
            name: `<name of the source>/<name of the file>`.
        """
        files, rest = self._at(name)
        return files.local(rest)

    @contextmanager
    def as_local_file(self, name: str) -> Iterator[Path]:
        """Yield a local file for the length of a block.

        Args:
            name: `<name of the source>/<name of the file>`.
        """
        files, rest = self._at(name)
        with files.as_local_file(rest) as path:
            yield path

    @contextmanager
    def as_local_header(self, name: str) -> Iterator[Path]:
        """Yield a local file with at least the start of a file.

        Args:
            name: `<name of the source>/<name of the file>`.
        """
        files, rest = self._at(name)
        with files.as_local_header(rest) as path:
            yield path

    def head(self, name: str, size: int) -> bytes:
        """Return the first bytes of a file.

        Args:
            name: `<name of the source>/<name of the file>`.
            size: Number of bytes at most.
        """
        files, rest = self._at(name)
        return files.head(rest, size)

    def entry(self, name: str) -> Entry | None:
        """Return size, version and SHA-256 of a file; None when there is none.

        Args:
            name: `<name of the source>/<name of the file>`.
        """
        files, rest = self._at(name)
        listed = files.entry(rest)
        return replace(listed, key=name) if listed is not None else None

    def stored_sha256(self, name: str) -> str:
        """Return the digest that is stored with an object, or an empty string.

        Args:
            name: `<name of the source>/<name of the file>`.
        """
        files, rest = self._at(name)
        return files.stored_sha256(rest)

    def _at(self, name: str) -> tuple[SourceFiles, str]:
        """The source of a file, and the name of the file in it."""
        source, rest = split_path(name)
        if source not in self._sources:
            raise SourceError(
                f"The file {name} is of no source of this run",
                expected=f"a path that begins with {' or '.join(self._sources)}",
                received=source,
            )
        return self._sources[source], rest
