"""Workers elsewhere must run the code of the step that plans their work."""

import hashlib
import importlib.metadata
from functools import cache
from pathlib import Path

from mammo_core.errors import RunError

_PACKAGE = Path(__file__).parent.parent
#: What determines the bytes of records.
_ROOMS = ("seeds.py", "imaging", "preprocessing.py", "dicom", "datasets", "sampling", "ingest")
_LIBRARIES = (
    "numpy", "opencv-python-headless", "pillow", "pydicom", "pylibjpeg", "pylibjpeg-openjpeg",
    "pylibjpeg-rle", "python-gdcm", "scikit-image", "scipy", "tifffile",
)  # fmt: skip


@cache
def code_digest() -> str:
    """Return the digest of the modules that make records and of the versions of the libraries."""
    digest = hashlib.sha256()
    modules = [path for path in _PACKAGE.rglob("*.py") if _room(path) in _ROOMS]
    for path in sorted(modules):
        digest.update(f"{path.relative_to(_PACKAGE)}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    for name in _LIBRARIES:
        digest.update(f"{name}=={_version(name)}\n".encode())
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


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:  # an image without what no step needs
        return "none"
