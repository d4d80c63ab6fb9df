"""What an image file is, and which file of a lesion is its mask."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammo_core.dicom import ImageFacts, check_mammogram, read_any, read_any_facts
from mammo_core.errors import DicomError, SourceError

#: Aspect ratios this near are the same picture scanned at another resolution: the mask of
#: Mass-Test_P_00145_LEFT_CC has 4386x1789 pixels, its mammogram 5041x2056.
ASPECT_TOLERANCE = 0.01


@dataclass(frozen=True)
class ImageFile:
    """An image file that was looked at.

    Args:
        path: Relative to the root, posix.
        sha256: Digest of its bytes, hexadecimal.
        facts: What its header says; None when it cannot be a mammogram.
        reason: Why it cannot.
    """

    path: str
    sha256: str
    facts: ImageFacts | None
    reason: str = ""


def describe(root: Path, path: str) -> ImageFile:
    """Hash an image file and read its header.

    Args:
        root: Folder of the images.
        path: Relative to the root.
    """
    digest = sha256_of(root / path)
    try:
        facts = read_any_facts(root / path, path)
        check_mammogram(facts, path)
    except DicomError as error:
        return ImageFile(path, digest, None, str(error))
    return ImageFile(path, digest, facts)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_mask(root: Path, candidates: list[str], rows: int, columns: int) -> tuple[str, str]:
    """Tell a lesion's mask from its crop, by content.

    A mask has the size of its mammogram, or its aspect ratio within 1 %, and two gray
    levels, one of them black. Only files of such a size are decoded.

    Args:
        root: Folder of the images.
        candidates: The files of the lesion, relative to the root, the likeliest first.
        rows: Rows of the mammogram.
        columns: Columns of the mammogram.

    Returns:
        The mask's path and its SHA-256.

    Raises:
        SourceError: No file is a mask of that mammogram.
    """
    refused: list[str] = []
    fitting: list[tuple[bool, str]] = []
    for path in candidates:
        try:
            facts = read_any_facts(root / path, path)
        except DicomError as error:
            refused.append(str(error))
            continue
        same = (facts.rows, facts.columns) == (rows, columns)
        ratio = (facts.rows * columns) / (facts.columns * rows)
        if same or abs(ratio - 1) <= ASPECT_TOLERANCE:
            fitting.append((not same, path))
        else:
            refused.append(f"{path} has {facts.rows}x{facts.columns} pixels")
    for _, path in sorted(fitting, key=lambda found: found[0]):
        try:
            levels = np.flatnonzero(np.bincount(read_any(root / path, path).pixels.ravel()))
        except DicomError as error:
            refused.append(str(error))
            continue
        if levels.size == 2 and levels[0] == 0:
            return path, sha256_of(root / path)
        refused.append(
            f"{path} is a mask without a lesion"
            if levels.size == 1
            else f"{path} has {levels.size} gray levels"
        )
    raise SourceError(
        "No file of the lesion is a mask of its mammogram",
        expected=f"two gray levels, {rows}x{columns} pixels or the same aspect ratio within 1 %",
        received="; ".join(refused) or "no file",
    )
