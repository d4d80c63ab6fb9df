"""SHA256SUMS: the list of a package's files that says when one was changed."""

import hashlib
from pathlib import Path

from mammo_core.errors import ModelError

SUMS = "SHA256SUMS"


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS over every file of a folder (`sha256sum -c` reads it too)."""
    lines = [f"{digest}  {name}\n" for name, digest in sorted(_digests(folder).items())]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8", newline="\n")


def verify_sums(folder: Path) -> dict[str, str]:
    """Compare every file of a package with its SHA256SUMS.

    Args:
        folder: Of the package.

    Returns:
        SHA-256 (hex) of every file, by name.

    Raises:
        ModelError: There is no SHA256SUMS, or a file is changed, missing or surplus; names
            every such file.
    """
    listed = read_sums(folder)
    present = _digests(folder)
    faults = [f"{name} is missing" for name in sorted(listed.keys() - present.keys())]
    faults += [f"{name} is surplus" for name in sorted(present.keys() - listed.keys())]
    faults += [
        f"{name} was changed"
        for name in sorted(listed.keys() & present.keys())
        if listed[name] != present[name]
    ]
    if faults:
        raise ModelError(
            f"The model package {folder.name} is not as it was built",
            expected=f"exactly the files and digests of its {SUMS}",
            received="; ".join(faults),
            hint="Do not use it: fetch it again from where it was published.",
        )
    return listed


def read_sums(folder: Path) -> dict[str, str]:
    """Return what SHA256SUMS says, by file name.

    Raises:
        ModelError: There is none, or a line of it cannot be read.
    """
    try:
        text = (folder / SUMS).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{folder.name} is not a model package",
            expected=f"a folder with a {SUMS}",
            received="no such folder" if not folder.is_dir() else "none that can be read",
        ) from error
    listed: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        digest, gap, name = line.partition("  ")
        if not gap or len(digest) != 64 or "/" in name or name in ("", ".", "..", SUMS):
            raise ModelError(
                f"{SUMS} of {folder.name} is damaged",
                expected="lines of a SHA-256 digest, two spaces and a file name",
                received=f"line {number}: {line[:100]!r}",
            )
        listed[name] = digest
    return listed


def digest(path: Path) -> str:
    """Return the SHA-256 of a file (hex)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digests(folder: Path) -> dict[str, str]:
    """Digests of everything in a folder but SHA256SUMS; what is no plain file has none."""
    return {
        path.name: digest(path) if path.is_file() and not path.is_symlink() else "not a plain file"
        for path in folder.iterdir()
        if path.name != SUMS
    }
