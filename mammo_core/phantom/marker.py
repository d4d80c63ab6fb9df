"""The marker of a tree, `phantom.json`: what was asked for, what is there, and its digests.

It is written last: a folder that has it is whole. While a tree is being made, the parameters
stand in `.phantom/config.json`, so that the same command can take up a killed run and another
one is refused.
"""

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mammo_core.errors import RecipeError, SourceError
from mammo_core.phantom.config import NOTICE, PhantomConfig

MARKER = "phantom.json"
SCRATCH = ".phantom"
# Raised by hand when drawing, plan or files change: trees of another revision are not resumed.
REVISION = 1


def marker_bytes(
    config: PhantomConfig, counts: dict[str, int], files: list[tuple[str, int, str]]
) -> bytes:
    """Write the marker.

    Args:
        config: The phantom's parameters.
        counts: What is in the tree.
        files: path, size and sha256 of every file but the marker.

    Returns:
        JSON, the same bytes for the same tree.
    """
    listed = sorted(files)
    marker = {
        "notice": NOTICE,
        "revision": REVISION,
        "config": config.model_dump(),
        "counts": counts,
        "digest": tree_digest(listed),
        "files": [list(entry) for entry in listed],
    }
    return (json.dumps(marker, separators=(",", ":"), sort_keys=True) + "\n").encode()


def tree_digest(files: list[tuple[str, int, str]]) -> str:
    """Return the sha256 over path, size and sha256 of every file, in order of path.

    Args:
        files: path, size and sha256 of every file but the marker.
    """
    lines = "".join(f"{sha256} {size} {path}\n" for path, size, sha256 in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def read_marker(root: Path) -> dict[str, Any] | None:
    """Return the marker of a whole tree, or None where there is none.

    Args:
        root: Folder of the tree.

    Raises:
        SourceError: If the marker cannot be read as one.
    """
    try:
        text = (root / MARKER).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        marker = json.loads(text)
        complete = {"revision", "config", "counts", "digest", "files"} <= set(marker)
    except (ValueError, TypeError):
        complete = False
    if not complete:
        raise SourceError(
            f"{MARKER} cannot be read",
            expected="the marker of a synthetic tree, as `mammo phantom create` writes it",
            received=f"{len(text)} bytes that are not",
            hint="Delete the folder and create the phantom again.",
        )
    return dict(marker)


def check_folder(root: Path, config: PhantomConfig) -> None:
    """Refuse a folder that is neither empty nor a tree of these parameters.

    Args:
        root: Folder of the tree.
        config: The phantom's parameters.

    Raises:
        RecipeError: If the folder holds anything else.
    """
    if root.exists() and not root.is_dir():
        raise RecipeError(
            f"The phantom cannot be written to {root}",
            expected="a folder, or nothing there yet",
            received="a file",
        )
    found = read_marker(root) or _unfinished(root)
    if found is None:
        strange = (
            []
            if not root.exists()
            else sorted(entry.name for entry in root.iterdir() if entry.name != SCRATCH)
        )
        if strange:
            raise RecipeError(
                f"The folder {root} is not empty and holds no phantom",
                expected="an empty or new folder, or a phantom of the same parameters",
                received=f"{len(strange)} entries, the first is {strange[0]}",
                hint="Choose another folder; nothing was changed.",
            )
        return
    wanted = {**config.model_dump(), "revision": REVISION}
    there = {**found["config"], "revision": found["revision"]}
    if wanted != there:
        names = sorted(name for name in wanted if wanted[name] != there.get(name))
        raise RecipeError(
            f"The folder {root} holds a phantom of other parameters",
            expected=", ".join(f"{name} {wanted[name]}" for name in names),
            received=", ".join(f"{name} {there.get(name)}" for name in names),
            hint="Choose another folder, or give the parameters of the one that is there.",
        )


@contextmanager
def held(root: Path, config: PhantomConfig) -> Iterator[None]:
    """Keep other writers out of a tree while it is being made.

    Args:
        root: Folder of the tree.
        config: The phantom's parameters.

    Yields:
        Nothing; the folder `.phantom` with the parameters is there.

    Raises:
        RecipeError: If another process is making this tree, or the folder holds another.
    """
    scratch = root / SCRATCH
    scratch.mkdir(parents=True, exist_ok=True)
    # A record lock is not inherited by worker processes and ends with this one, even killed.
    with (scratch / "lock").open("w") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RecipeError(
                f"The phantom in {root} is being made by another process",
                expected="one writer at a time",
                received="a second one",
                hint="Wait for it to end, then run the same command again.",
            ) from None
        check_folder(root, config)
        aside = scratch / "config.part"
        text = json.dumps({"config": config.model_dump(), "revision": REVISION}, sort_keys=True)
        aside.write_text(text + "\n", encoding="utf-8")
        aside.replace(scratch / "config.json")
        yield


def _unfinished(root: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads((root / SCRATCH / "config.json").read_bytes()))
    except (OSError, ValueError):
        return None
