"""Which files to score."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from mammo_core.errors import RecipeError


@dataclass(frozen=True)
class FoundFile:
    """A file to score.

    Attributes:
        path: Where it is.
        name: Its path relative to the folder that was given, with `/`; never the way to there.
    """

    path: Path
    name: str


def find_files(paths: Sequence[Path], leave_out: Collection[Path] = ()) -> list[FoundFile]:
    """Find the files under some paths.

    Every file counts, for DICOM files often have no ending: what is no image becomes a reject
    with its reason. Only hidden files and folders are passed over. A file under two of the
    paths is taken once.

    Args:
        paths: Files and folders, in the order they are to be scored.
        leave_out: Files not to take, such as the scores of the last run.

    Returns:
        The files; those of a folder sorted by name.

    Raises:
        RecipeError: A path does not exist, or there is no file at all.
    """
    absent = [path for path in paths if not path.exists()]
    if absent:
        raise RecipeError(
            "There is nothing to score at this path",
            expected="files and folders that exist",
            received=", ".join(str(path) for path in absent[:3]),
        )
    seen = {path.absolute() for path in leave_out}
    found: list[FoundFile] = []
    for given in paths:
        for path in sorted(_walk(given)) if given.is_dir() else [given]:
            if path.absolute() not in seen:
                seen.add(path.absolute())
                name = path.relative_to(given).as_posix() if given.is_dir() else path.name
                found.append(FoundFile(path, name))
    if not found:
        raise RecipeError(
            "There is nothing to score",
            expected="at least one file",
            received=f"{len(paths)} paths without any",
        )
    return found


def _walk(folder: Path) -> list[Path]:
    files: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(place) / name for name in names if not name.startswith(".")]
    return files


def _raise(error: OSError) -> None:
    """os.walk passes over folders it cannot list; leaving patients out silently is worse."""
    raise error
