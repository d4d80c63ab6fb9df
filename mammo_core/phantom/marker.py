"""The marker of a tree, `phantom.json`: its parameters, counts, files and digests.

It is written last: a folder with a marker is complete. While a tree is being created, its
parameters are in `.phantom/config.json`, so that the same command can resume an interrupted run
and another command is refused.
"""

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mammo_core.documents import parse_json
from mammo_core.errors import RecipeError, SourceError
from mammo_core.phantom.config import NOTICE, PhantomConfig, default_of

MARKER = "phantom.json"
SCRATCH = ".phantom"
# Raised by hand when drawing, plan or files change: trees of another revision are not resumed.
REVISION = 1


def marker_bytes(
    config: PhantomConfig, counts: dict[str, int], files: list[tuple[str, int, str]]
) -> bytes:
    """Serialize the marker.

    Args:
        config: The phantom's parameters.
        counts: Counts of the tree.
        files: path, size and sha256 of every file except the marker.

    Returns:
        JSON, the same bytes for the same tree.
    """
    listed = sorted(files)
    marker = {
        "notice": NOTICE,
        "revision": REVISION,
        "config": config.to_json(),
        "counts": counts,
        "digest": tree_digest(listed),
        "files": [list(entry) for entry in listed],
    }
    return (json.dumps(marker, separators=(",", ":"), sort_keys=True) + "\n").encode()


def tree_digest(files: list[tuple[str, int, str]]) -> str:
    """Return the sha256 over path, size and sha256 of every file, in order of path.

    Args:
        files: path, size and sha256 of every file except the marker.
    """
    lines = "".join(f"{sha256} {size} {path}\n" for path, size, sha256 in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def read_marker(root: Path) -> dict[str, Any] | None:
    """Return the marker of a complete tree; None without one.

    Args:
        root: Folder of the tree.

    Raises:
        SourceError: The marker is damaged.
    """
    try:
        text = (root / MARKER).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        marker = parse_json(text)
        complete = {"revision", "config", "counts", "digest", "files"} <= set(marker)
    except (ValueError, TypeError):
        complete = False
    if not complete:
        raise SourceError(
            f"{MARKER} cannot be read",
            expected="the marker of a synthetic tree, as `mammo phantom create` writes it",
            received=f"{len(text)} bytes of something else",
            hint="Delete the folder and create the phantom again.",
        )
    return dict(marker)


def require_folder(root: Path, config: PhantomConfig) -> None:
    """Refuse a folder that is neither empty nor a tree of these parameters.

    Args:
        root: Folder of the tree.
        config: The phantom's parameters.

    Raises:
        RecipeError: The folder contains anything else.
    """
    if root.exists() and not root.is_dir():
        raise RecipeError(
            f"The phantom cannot be written to {root}",
            expected="a folder, or a path that does not exist yet",
            received="a file",
        )
    marker = read_marker(root) or _read_unfinished(root)
    if marker is None:
        foreign = (
            []
            if not root.exists()
            else sorted(entry.name for entry in root.iterdir() if entry.name != SCRATCH)
        )
        if foreign:
            raise RecipeError(
                f"The folder {root} is not empty and does not contain a phantom",
                expected="an empty or new folder, or a phantom of the same parameters",
                received=f"{len(foreign)} entries, the first is {foreign[0]}",
                hint="Choose another folder; nothing was changed.",
            )
        return
    expected = {**config.to_json(), "revision": REVISION}
    existing = {**marker["config"], "revision": marker["revision"]}
    if expected != existing:
        names = sorted(
            name
            for name in {*expected, *existing}
            if _value(expected, name) != _value(existing, name)
        )
        raise RecipeError(
            f"The folder {root} contains a phantom of other parameters",
            expected=", ".join(f"{name} {_value(expected, name)}" for name in names),
            received=", ".join(f"{name} {_value(existing, name)}" for name in names),
            hint="Choose another folder, or use the parameters of the existing phantom.",
        )


def _value(config: dict[str, Any], name: str) -> Any:
    """Return a parameter, also one that a marker leaves out at its default."""
    return config.get(name, default_of(name))


@contextmanager
def lock_tree(root: Path, config: PhantomConfig) -> Iterator[None]:
    """Lock a tree against other writers while it is being created.

    Args:
        root: Folder of the tree.
        config: The phantom's parameters.

    Yields:
        Nothing; the folder `.phantom` contains the parameters.

    Raises:
        RecipeError: Another process is creating this tree, or the folder contains another one.
    """
    scratch = root / SCRATCH
    scratch.mkdir(parents=True, exist_ok=True)
    # A record lock is not inherited by worker processes and ends with this process.
    with (scratch / "lock").open("w") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RecipeError(
                f"The phantom in {root} is being created by another process",
                expected="one writer at a time",
                received="a second writer",
                hint="Wait until it ends, then run the same command again.",
            ) from None
        require_folder(root, config)
        temporary = scratch / "config.part"
        text = json.dumps({"config": config.to_json(), "revision": REVISION}, sort_keys=True)
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(scratch / "config.json")
        yield


def _read_unfinished(root: Path) -> dict[str, Any] | None:
    try:
        return dict(parse_json((root / SCRATCH / "config.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
