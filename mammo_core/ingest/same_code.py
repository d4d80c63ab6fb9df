"""Workers elsewhere must run the code of the step that plans their work."""

import hashlib
import importlib.metadata
import re
from functools import cache
from pathlib import Path

from mammo_core.errors import RunError

_PACKAGE = Path(__file__).parent.parent
#: What determines the bytes of records.
_ROOMS = ("seeds.py", "imaging", "preprocessing.py", "dicom", "datasets", "sampling", "ingest")


@cache
def code_digest() -> str:
    """Return the digest of the modules that make records and of the versions of the libraries."""
    digest = hashlib.sha256()
    modules = [path for path in _PACKAGE.rglob("*.py") if _room(path) in _ROOMS]
    for path in sorted(modules):
        digest.update(f"{path.relative_to(_PACKAGE)}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    for requirement in _requirements():
        digest.update(f"{requirement}=={importlib.metadata.version(requirement)}\n".encode())
    return digest.hexdigest()


def require_same_code(expected: str) -> None:
    """Refuse to make a shard by another version of the code: its bytes might differ.

    Args:
        expected: `code_digest` of the process that planned the work.

    Raises:
        RunError: This process has other code.
    """
    if code_digest() != expected:
        raise RunError(
            "A worker runs another version of the code than the step that planned its work",
            expected=f"the code with digest {expected[:12]}",
            received=code_digest()[:12],
            hint="start the workers from the container image of the step, or from its commit and "
            "pins",
        )


def _room(path: Path) -> str:
    return path.relative_to(_PACKAGE).parts[0]


def _requirements() -> list[str]:
    """Return the names of the libraries that every image has; empty where we are not installed."""
    try:
        lines = importlib.metadata.requires("mammo-pipelines") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    names = [re.match(r"[\w.-]+", line) for line in lines if "extra ==" not in line]
    return sorted(name[0] for name in names if name)
