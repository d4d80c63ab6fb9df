"""Describe image files, and recognize the mask of a lesion among its files."""

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from pydantic import TypeAdapter

from mammo_core.dicom import (
    ImageFacts,
    read_facts,
    read_identity,
    read_image,
    require_mammogram,
)
from mammo_core.errors import DicomError, SourceError
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.lesions.mask_warnings import mask_warnings
from mammo_core.sources.lesions.masks import ASPECT_TOLERANCE, MaskFile, read_mammogram
from mammo_core.store.base import file_sha256

#: Suffixes of files that can be mammograms.
SUFFIXES: Final = (".dcm", ".dicom", ".png", ".tif", ".tiff", ".pgm", ".pnm")
JPEG_SUFFIXES: Final = (".jpg", ".jpeg")


@dataclass(frozen=True, slots=True)
class ImageFile:
    """Description of an image file.

    Args:
        path: Relative to the root, posix.
        sha256: What identifies its bytes (`SourceFiles.content_id`).
        facts: What its header says; None when it cannot be a mammogram.
        reason: Why it cannot.
    """

    path: str
    sha256: str
    facts: ImageFacts | None
    reason: str = ""


_IMAGE_FILE: Final = TypeAdapter(ImageFile)
_TEXT: Final = TypeAdapter(str)


def describe(files: SourceFiles, name: str) -> ImageFile:
    """Hash an image file and read its header.

    For Processing images are described like others: the recipe's conversion decides about them.
    Only the header is fetched of an object whose digest is stored with it: `convert` compares
    the bytes with that digest.

    Args:
        files: The files of the source.
        name: Relative to the root.
    """
    file = files.cached("image", [name], _IMAGE_FILE, lambda: _describe(files, name))
    facts = file.facts and _shared(file.facts)
    return ImageFile(name, file.sha256, facts, file.reason)


@lru_cache(maxsize=4096)
def _shared(facts: ImageFacts) -> ImageFacts:
    """Return one object for equal facts: most images of a device differ in pixels alone."""
    return facts


def _describe(files: SourceFiles, name: str) -> ImageFile:
    digest = files.stored_sha256(name)
    if digest:
        with suppress(DicomError), files.as_local_header(name) as path:
            facts = read_facts(path, name, for_processing=True, lossy_jpeg=files.lossy_jpeg)
            require_mammogram(facts, name)
            return ImageFile(name, files.content_id(digest), facts)
    with files.as_local_file(name) as path:
        if "\ufffd" in name and not path.exists():  # a name that is no text: see `plain_name`
            return ImageFile(name, "", None, str(_unnamed_error(name)))
        digest = files.content_id(file_sha256(path))
        try:
            facts = read_facts(path, name, for_processing=True, lossy_jpeg=files.lossy_jpeg)
            require_mammogram(facts, name)
        except DicomError as error:
            return ImageFile(name, digest, None, str(error))
    return ImageFile(name, digest, facts)


def _unnamed_error(name: str) -> DicomError:
    return DicomError(
        f"{name} cannot be opened",
        expected="a file name in UTF-8, without a backslash",
        received="another one",
        hint="Rename the file",
    )


def series_uid(files: SourceFiles, name: str) -> str:
    """Return the Series Instance UID of a DICOM file's header, and nothing else of it.

    Args:
        files: The files of the source.
        name: Relative to the root.

    Returns:
        The UID; empty if the file is not a DICOM file or has no readable one.

    Raises:
        OSError: The disk failed.
    """
    return files.cached("series", [name], _TEXT, lambda: _series_uid(files, name))


def _series_uid(files: SourceFiles, name: str) -> str:
    with files.as_local_header(name) as path:
        return read_identity(path).series_uid


def find_mask(
    files: SourceFiles, candidates: list[str], rows: int, columns: int, image: str
) -> MaskFile:
    """Distinguish a lesion's mask from its crop, by content.

    A mask has the size of its mammogram, or its aspect ratio within 1 %, and two gray
    levels, one of them black. Only files of such a size are decoded.

    Args:
        files: The files of the source.
        candidates: The files of the lesion, relative to the root, the likeliest first.
        rows: Rows of the mammogram.
        columns: Columns of the mammogram.
        image: The mammogram, relative to the root.

    Raises:
        SourceError: No file is a mask of that mammogram.
    """
    refused: list[str] = []
    fitting: list[tuple[bool, str]] = []
    for name in candidates:
        try:
            size = _size(files, name)
        except DicomError as error:
            refused.append(str(error))
            continue
        ratio = (size[0] * columns) / (size[1] * rows)
        if size == (rows, columns) or abs(ratio - 1) <= ASPECT_TOLERANCE:
            fitting.append((size != (rows, columns), name))
        else:
            refused.append(f"{name} has {size[0]}x{size[1]} pixels")
    for rescaled, name in sorted(fitting, key=lambda candidate: candidate[0]):
        with files.as_local_file(name) as path:
            try:
                pixels = read_image(path, name, mask=True).pixels
            except DicomError as error:
                refused.append(str(error))
                continue
            levels = np.flatnonzero(np.bincount(pixels.ravel()))
            if levels.size == 2 and levels[0] == 0:
                warnings = mask_warnings(pixels, lambda: read_mammogram(files, image))
                return MaskFile(name, files.content_id(file_sha256(path)), rescaled, warnings)
        refused.append(
            f"{name} is a mask without a lesion"
            if levels.size == 1
            else f"{name} has {levels.size} gray levels"
        )
    raise SourceError(
        "No file of the lesion is a mask of its mammogram",
        expected=f"two gray levels, {rows}x{columns} pixels or the same aspect ratio within 1 %",
        received="; ".join(refused) or "no file",
    )


def _size(files: SourceFiles, name: str) -> tuple[int, int]:
    """Return rows and columns, from the start of the file if that is enough."""
    with suppress(DicomError), files.as_local_header(name) as path:
        facts = read_facts(path, name, mask=True)
        return facts.rows, facts.columns
    with files.as_local_file(name) as path:
        facts = read_facts(path, name, mask=True)
    return facts.rows, facts.columns
