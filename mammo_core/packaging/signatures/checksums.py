"""SHA256SUMS: the list of a package's files and their digests, which reveals any change."""

import hashlib
import os
from pathlib import Path

from mammo_core.documents import DocumentError, read_bounded
from mammo_core.errors import ModelError, StoreError
from mammo_core.store.base import validate_key

SUMS = "SHA256SUMS"
_MAXIMUM_BYTES = 2**20


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS for every file of a folder (`sha256sum -c` reads it too)."""
    (folder / SUMS).write_bytes(_render(_digests(folder)))


def verify_sums(folder: Path) -> dict[str, str]:
    """Compare every file of a package with its SHA256SUMS.

    Args:
        folder: Folder of the package.

    Returns:
        SHA-256 (hex) of every file, by its name relative to the folder (posix).

    Raises:
        ModelError: There is no SHA256SUMS, or files are changed, missing or surplus; the error
            names each of them.
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
            hint="Do not use it; fetch the published package again.",
        )
    return listed


def read_sums(folder: Path) -> dict[str, str]:
    """Return the digests in SHA256SUMS by file name.

    Raises:
        ModelError: There is none, or it is not in the form that `write_sums` writes.
    """
    try:
        data = read_bounded(folder / SUMS, _MAXIMUM_BYTES)
    except (OSError, DocumentError) as error:
        raise ModelError(
            f"{folder.name} is not a model package",
            expected=f"a folder with a {SUMS}",
            received="no such folder" if not folder.is_dir() else "no readable one",
        ) from error
    return parse_sums(data, folder.name)


def parse_sums(data: bytes, package: str) -> dict[str, str]:
    """Return the digests in the content of a SHA256SUMS by file name.

    Args:
        data: The content.
        package: Name of the package in errors.

    Raises:
        ModelError: It is not in the form that `write_sums` writes.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _damaged_error(package, "bytes that are not text") from error
    listed: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        digest, gap, name = line.partition("  ")
        if not gap or len(digest) != 64 or name == SUMS or not _relative(name):
            raise _damaged_error(package, f"line {number}: {line[:100]!r}")
        listed[name] = digest
    # Other line ends or another order would parse alike: every byte must match.
    if _render(listed) != data:
        raise _damaged_error(package, "other bytes")
    return listed


def digest(path: Path) -> str:
    """Return the SHA-256 of a file (hex)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _render(digests: dict[str, str]) -> bytes:
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode()


def _relative(name: str) -> bool:
    """Whether a name is inside the package and valid as a key in every store."""
    try:
        validate_key(name)
    except StoreError:
        return False
    return not any(part.startswith(".") for part in name.split("/"))


def _digests(folder: Path) -> dict[str, str]:
    """Digest of each file, or a description of what is not a plain file."""
    digests: dict[str, str] = {}
    for parent, folders, files in os.walk(folder, followlinks=False):
        base = Path(parent)
        for name in [*folders, *files]:
            path = base / name
            key = path.relative_to(folder).as_posix()
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                digests[key] = "not a plain file"
            elif path.is_dir():
                if not any(path.iterdir()):
                    digests[key] = "an empty folder"
            elif key != SUMS:
                digests[key] = digest(path)
    return digests


def _damaged_error(package: str, received: str) -> ModelError:
    return ModelError(
        f"{SUMS} of {package} is damaged",
        expected="sorted lines of a SHA-256 digest, two spaces and a file name",
        received=received,
    )
