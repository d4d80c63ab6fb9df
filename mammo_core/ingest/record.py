"""One mammogram and the masks of its lesions to one image record."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mammo_core.datasets import ImageRecord, LesionMask
from mammo_core.dicom import read_any
from mammo_core.errors import DicomError, RecipeError, SourceError, StoreError
from mammo_core.imaging import resize_mask, statistics
from mammo_core.preprocessing import Conversion, CropPlacement, Geometry
from mammo_core.sources.masks import load_mask, mask_file
from mammo_core.sources.source_files import SourceFiles
from mammo_core.store.base import file_sha256

_ATTEMPTS = 3
_Read = TypeVar("_Read")

STATISTICS = [
    "image_id",
    "mean",
    "standard_deviation",
    "minimum",
    "maximum",
    "equalized_mean",
    "equalized_image_max_mean",
    "source_rows",
    "source_columns",
    "crop_x",
    "crop_y",
    "crop_width",
    "crop_height",
    "flipped",
    "lesions",
]
"""Columns of the statistics table: gray levels of the record, and its place in the source."""


@dataclass(frozen=True)
class Item:
    """What one record is made of.

    Attributes:
        image_id: SHA-256 of the image file.
        path: The image file, relative to the source's root.
        lesions: Of each lesion its id, mask path and the SHA-256 of the mask.
        laterality: LEFT or RIGHT; anything else is unknown.
    """

    image_id: str
    path: str
    lesions: tuple[tuple[str, str, str], ...]
    laterality: str = ""


@dataclass(frozen=True)
class Converted:
    """A record and what goes with it.

    Attributes:
        record: The record.
        statistics: Its row of the statistics table.
        rejects: Lesions that could not be used: (lesion id, reason).
    """

    record: ImageRecord
    statistics: dict[str, Any]
    rejects: list[tuple[str, str]]


def make_record(
    item: Item, files: SourceFiles, conversion: Conversion, geometry: Geometry
) -> Converted:
    """Read, check and convert one mammogram and its masks.

    Args:
        item: What to read.
        files: The files of the source.
        conversion: What is done before the image is resized.
        geometry: Size of the record.

    Raises:
        DicomError: The image cannot be used.
        SourceError: A file changed since it was indexed.
        StoreError: A disk that does not answer.
    """
    options = _options(conversion)
    image = _checked(
        files,
        item.path,
        item.image_id,
        lambda path: read_any(path, item.path, mammogram=True, **options),
    )
    size = image.pixels.shape
    laterality = item.laterality or image.facts.laterality or ""
    try:
        full, placement = conversion.apply(image.pixels, image.facts.bits_stored, laterality)
    except RecipeError as error:
        raise DicomError(
            f"{item.path} cannot be converted: {error.problem}",
            expected=error.expected,
            received=error.received,
            hint=error.hint,
        ) from error
    pixels = np.ascontiguousarray(geometry.apply(full), np.uint16)
    del image, full  # tens of megabytes that the masks need not wait beside
    lesions, rejects = [], []
    for lesion_id, mask_path, digest in item.lesions:
        try:
            mask = _mask(files, mask_path, digest, size)
        except DicomError as error:
            rejects.append((lesion_id, str(error)))
        else:
            lesions.append(LesionMask(lesion_id, _fitted(mask, placement, geometry)))
    record = ImageRecord(item.image_id, pixels, tuple(lesions), size[0], size[1])
    return Converted(record, _statistics(record, placement), rejects)


def _options(conversion: Conversion) -> dict[str, Any]:
    """What differs from a plain reading."""
    return {name: True for name in ("voi", "for_processing") if getattr(conversion, name)}


def _mask(files: SourceFiles, mask_path: str, digest: str, size: tuple[int, ...]) -> Any:
    """Return a mask in the pixels of its image, true (or above 0) where the lesion is."""
    name = mask_file(mask_path)
    if name is None:
        return load_mask(files, mask_path, size[0], size[1])
    if name != mask_path:  # contours
        return _checked(
            files, name, digest, lambda _: load_mask(files, mask_path, size[0], size[1])
        )
    # Its digest is the one that `index` accepted it under: no second look at its content.
    mask = _checked(files, name, digest, lambda path: read_any(path, name).pixels)
    # Some masks are a smaller picture.
    return mask if mask.shape == size else resize_mask(mask, size[0], size[1])


def _fitted(mask: Any, placement: CropPlacement, geometry: Geometry) -> Any:
    """Bring a mask to the record's geometry; compared to 0 last, when it is small.

    A lesion of a few source pixels can fall between those that are taken; it keeps one.
    """
    placed = placement.apply(mask)
    fitted = np.ascontiguousarray(geometry.apply_mask(placed) > 0)
    if not fitted.any():
        rows, columns = np.nonzero(placed)
        if len(rows):
            vertical, horizontal = geometry.scale(*placed.shape)
            row = min(int(rows.mean() * vertical), fitted.shape[0] - 1)
            fitted[row, min(int(columns.mean() * horizontal), fitted.shape[1] - 1)] = True
    return fitted


def _checked(files: SourceFiles, name: str, digest: str, read: Callable[[Path], _Read]) -> _Read:
    """Read a file; refuse one that changed since it was indexed, retry a disk in trouble."""
    found = "no such file"
    for attempt in range(_ATTEMPTS):
        try:
            with files.as_local_file(name) as path:
                found = f"SHA-256 {file_sha256(path)}"
                if found == f"SHA-256 {digest}":
                    return read(path)
            break
        except (FileNotFoundError, NotADirectoryError):
            break
        except OSError as error:
            if attempt == _ATTEMPTS - 1:
                raise StoreError(
                    f"The file {name} cannot be read",
                    expected="a disk that works, and the right to read",
                    received=error.strerror or type(error).__name__,
                ) from error
            time.sleep(0.5 * 2**attempt)
    raise SourceError(
        f"The file {name} changed since it was indexed",
        expected=f"SHA-256 {digest}",
        received=found,
        hint="run the same command again: it will be indexed anew",
    )


def _statistics(record: ImageRecord, placement: CropPlacement) -> dict[str, Any]:
    x, y, width, height = placement.box or (0, 0, record.source_columns, record.source_rows)
    return {
        "image_id": record.image_id,
        **statistics(record.pixels),
        "source_rows": record.source_rows,
        "source_columns": record.source_columns,
        "crop_x": x,
        "crop_y": y,
        "crop_width": width,
        "crop_height": height,
        "flipped": int(placement.flipped),
        "lesions": len(record.lesions),
    }
