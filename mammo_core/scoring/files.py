"""The files to score."""

import errno
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from mammo_core.errors import RecipeError
from mammo_core.sources.files.source_files import SourceFiles, plain_name


@dataclass(frozen=True)
class StatedView:
    """What the table of a source says about an image; it goes before the header.

    Attributes:
        laterality: LEFT or RIGHT.
        view: Short name of the view; empty if unknown.
        view_modifiers: Its modifiers.
    """

    laterality: str
    view: str = ""
    view_modifiers: tuple[str, ...] = ()


@dataclass(frozen=True)
class InputFile:
    """A file to score.

    Attributes:
        name: Its path relative to the folder that was given, with `/`.
        version: Size, and time or entity tag: changes whenever the content changes.
        path: Its path on this machine; None for an object in a bucket.
        source: The bucket; None for a local file.
        stated: What the table of its source says; None where there is no table.
    """

    name: str
    version: str = ""
    path: Path | None = None
    source: SourceFiles | None = None
    stated: StatedView | None = None

    @property
    def location(self) -> str:
        """Where the file is: an absolute path, or the URI of an object."""
        if self.path is not None:
            return str(self.path.absolute())
        return f"{self.source.uri if self.source is not None else ''}/{self.name}"

    def is_unchanged(self) -> bool:
        """Whether a local file is still the one that was listed; objects in a bucket count as it.

        Raises:
            OSError: The disk failed.
        """
        # A file of a breast also states how many the breast has (`units.group_files`).
        return self.path is None or f"{self.version} ".startswith(f"{_version(self.path)} ")

    @contextmanager
    def as_local_file(self) -> Iterator[Path]:
        """Provide a local copy of the file within a `with` block.

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
        """Provide a local file with the start of this file: see `SourceFiles.as_local_header`.

        Raises:
            StoreError: The server failed.
        """
        if self.path is not None:
            yield self.path
        elif self.source is not None:
            with self.source.as_local_header(self.name) as path:
                yield path


def list_files(
    inputs: Sequence[str | Path | InputFile], exclude: Collection[Path] = ()
) -> list[InputFile]:
    """List the files under some paths.

    Every file is listed, because DICOM files often have no suffix: a file that is not an image
    becomes a reject with its reason. Only hidden files and folders are skipped. A file under two
    of the paths is listed once.

    Args:
        inputs: Files, folders, `file://` URIs and `s3://bucket/prefix`, in the order in which
            they are to be scored; or files that were listed before.
        exclude: Local files to skip, such as the scores of the last run.

    Returns:
        The files; those of a folder sorted by name.

    Raises:
        RecipeError: A path does not exist, or there are no files.
        StoreError: A bucket cannot be listed.
    """
    roots = [item if isinstance(item, InputFile) else _root(item) for item in inputs]
    absent = [root for root in roots if isinstance(root, Path) and not root.exists()]
    if absent:
        raise RecipeError(
            "There is nothing to score at this path",
            expected="files and folders that exist",
            received=", ".join(str(path) for path in absent[:3]),
        )
    listed = {str(path.absolute()) for path in exclude}
    files: list[InputFile] = []
    for root in roots:
        for file in _files_of(root):
            if file.location not in listed:
                listed.add(file.location)
                files.append(file)
    if not files:
        raise RecipeError(
            "There is nothing to score",
            expected="at least one file",
            received=f"{len(inputs)} paths without any",
        )
    return files


def _root(path: str | Path) -> str | Path:
    """Return a local path, or the URI of a bucket."""
    text = str(path)
    if text.startswith("s3://"):
        return text.rstrip("/")
    return Path(unquote(text.removeprefix("file://"))) if text.startswith("file://") else Path(path)


def _files_of(root: str | Path | InputFile) -> Iterable[InputFile]:
    if isinstance(root, InputFile):
        return [root]
    return _local_files(root) if isinstance(root, Path) else _remote_files(root)


def _remote_files(uri: str) -> Iterator[InputFile]:
    source = SourceFiles.open(uri)
    for name, entry in source.entries.items():
        yield InputFile(name, f"{entry.size} {entry.version}", source=source)
    folder, _, name = uri.rpartition("/")
    if not source.entries and folder.count("/") > 2:  # perhaps the URI of a single object
        source = SourceFiles.open(folder)
        single = source.entry(name)
        if single is not None:
            yield InputFile(name, f"{single.size} {single.version}", source=source)


def _local_files(root: Path) -> Iterator[InputFile]:
    for path in sorted(_walk(root)) if root.is_dir() else [root]:
        name = path.relative_to(root).as_posix() if root.is_dir() else path.name
        yield InputFile(plain_name(name), _version(path), path=path)


def _version(path: Path) -> str:
    try:
        status = path.stat()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ELOOP):
            raise
        return ""  # a link that leads nowhere is a reject when it is read
    return f"{status.st_size} {status.st_mtime_ns}"


def _walk(folder: Path) -> list[Path]:
    files: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(parent) / name for name in names if not name.startswith(".")]
    return files


def _raise(error: OSError) -> None:
    """Raise the errors that os.walk ignores: patients must not be skipped silently."""
    raise error
