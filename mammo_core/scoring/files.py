"""Which files to score."""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from mammo_core.errors import RecipeError
from mammo_core.sources.source_files import SourceFiles


@dataclass(frozen=True)
class FoundFile:
    """A file to score.

    Attributes:
        name: Its path relative to the folder that was given, with `/`; never the way to there.
        version: Size, and time or entity tag: changes whenever the bytes do.
        path: Where it is on this machine; None for an object.
        source: The bucket it lies in; None for a local file.
    """

    name: str
    version: str = ""
    path: Path | None = None
    source: SourceFiles | None = None

    @contextmanager
    def as_local_file(self) -> Iterator[Path]:
        """Give a local file for the length of a block.

        Raises:
            StoreError: The server failed.
        """
        if self.path is not None:
            yield self.path
        elif self.source is not None:
            with self.source.as_local_file(self.name) as path:
                yield path

    @contextmanager
    def as_local_header(self) -> Iterator[Path]:
        """Give a local file that starts as this one does: see `SourceFiles.as_local_header`.

        Raises:
            StoreError: The server failed.
        """
        if self.path is not None:
            yield self.path
        elif self.source is not None:
            with self.source.as_local_header(self.name) as path:
                yield path


def find_files(paths: Sequence[str | Path], leave_out: Collection[Path] = ()) -> list[FoundFile]:
    """Find the files under some paths.

    Every file counts, for DICOM files often have no ending: what is no image becomes a reject
    with its reason. Only hidden files and folders are passed over. A file under two of the
    paths is taken once.

    Args:
        paths: Files, folders, `file://` URIs and `s3://bucket/prefix`, in the order they are
            to be scored.
        leave_out: Files not to take, such as the scores of the last run.

    Returns:
        The files; those of a folder sorted by name.

    Raises:
        RecipeError: A path does not exist, or there is no file at all.
        StoreError: A bucket cannot be listed.
    """
    places = [_place(path) for path in paths]
    absent = [place for place in places if isinstance(place, Path) and not place.exists()]
    if absent:
        raise RecipeError(
            "There is nothing to score at this path",
            expected="files and folders that exist",
            received=", ".join(str(path) for path in absent[:3]),
        )
    seen = {str(path.absolute()) for path in leave_out}
    found: list[FoundFile] = []
    for place in places:
        for file in _local(place) if isinstance(place, Path) else _remote(place):
            where = str(file.path.absolute()) if file.path else f"{place}/{file.name}"
            if where not in seen:
                seen.add(where)
                found.append(file)
    if not found:
        raise RecipeError(
            "There is nothing to score",
            expected="at least one file",
            received=f"{len(paths)} paths without any",
        )
    return found


def _place(path: str | Path) -> str | Path:
    text = str(path)
    if text.startswith("s3://"):
        return text.rstrip("/")
    return Path(unquote(text.removeprefix("file://"))) if text.startswith("file://") else Path(path)


def _remote(uri: str) -> Iterator[FoundFile]:
    source = SourceFiles.open(uri)
    for name, entry in source.entries.items():
        yield FoundFile(name, f"{entry.size} {entry.version}", source=source)
    folder, _, name = uri.rpartition("/")
    if not source.entries and folder.count("/") > 2:  # perhaps one object, named whole
        source = SourceFiles.open(folder)
        held = source.entry(name)
        if held is not None:
            yield FoundFile(name, f"{held.size} {held.version}", source=source)


def _local(given: Path) -> Iterator[FoundFile]:
    for path in sorted(_walk(given)) if given.is_dir() else [given]:
        name = path.relative_to(given).as_posix() if given.is_dir() else path.name
        facts = path.stat()
        yield FoundFile(name, f"{facts.st_size} {facts.st_mtime_ns}", path=path)


def _walk(folder: Path) -> list[Path]:
    files: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(place) / name for name in names if not name.startswith(".")]
    return files


def _raise(error: OSError) -> None:
    """os.walk passes over folders it cannot list; leaving patients out silently is worse."""
    raise error
