"""Convert one mammogram and the masks of its lesions to an image record."""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mammo_core.datasets import ImageRecord, LesionMask
from mammo_core.dicom import ImageWarning, read_image
from mammo_core.errors import DicomError, RecipeError, SourceError, StoreError
from mammo_core.imaging import (
    GrayMeasures,
    find_faults,
    measure_gray_levels,
    resize_mask,
    statistics,
)
from mammo_core.imaging.crop import CropPlacement
from mammo_core.imaging.picture_digest import picture_digest
from mammo_core.preprocessing import Conversion, Geometry
from mammo_core.sources.auditing.gray_levels import pixel_warnings, rejection
from mammo_core.sources.auditing.policy import PlausibilityPolicy
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.patients import CONTENT_LENGTH, content_key, site_key
from mammo_core.sources.lesions.masks import load_mask, mask_file
from mammo_core.store.base import file_sha256

_ATTEMPTS = 3
_Result = TypeVar("_Result")

MEASURE_PREFIX = "gray_"
"""Start of the names of the columns with the measures of the source image's gray levels."""

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
    *(f"{MEASURE_PREFIX}{field.name}" for field in fields(GrayMeasures)),
    "warnings",
    "picture",
]
"""Columns of the statistics table: gray levels of the record, its area of the source image, the
measures of the source image, what its pixels warn of (JSON: code, message), and the digest of what
the source image shows (base 64), by which copies are found."""


@dataclass(frozen=True)
class ImageInput:
    """What one record is made from.

    Attributes:
        image_id: SHA-256 of the image file.
        path: The image file, relative to the source's root.
        lesions: (id, path of the mask, SHA-256 of the mask) of each lesion.
        laterality: LEFT or RIGHT; any other text means unknown.
    """

    image_id: str
    path: str
    lesions: tuple[tuple[str, str, str], ...]
    laterality: str = ""


@dataclass(frozen=True)
class ConversionResult:
    """A record, its statistics and the lesions that were rejected.

    Attributes:
        record: The record.
        statistics: Its row of the statistics table.
        rejects: (lesion id, reason) of each lesion that cannot be used.
    """

    record: ImageRecord
    statistics: dict[str, Any]
    rejects: list[tuple[str, str]]


def convert_image(
    image_input: ImageInput,
    files: SourceFiles,
    conversion: Conversion,
    geometry: Geometry,
    plausibility: PlausibilityPolicy | None = None,
) -> ConversionResult:
    """Read, check and convert one mammogram and its masks.

    Args:
        image_input: The image and its lesions.
        files: The files of the source.
        conversion: What is done to the image before it is resized.
        geometry: Size of the record.
        plausibility: What is done with gray levels that cannot be those of a mammogram; default:
            its defaults.

    Raises:
        DicomError: The image cannot be used, or the policy rejects its gray levels.
        SourceError: A file changed since it was indexed.
        StoreError: A file cannot be read.
    """
    options = _options(conversion)
    image = _read_verified(
        files,
        image_input.path,
        image_input.image_id,
        lambda path: read_image(path, image_input.path, mammogram=True, **options),
    )
    size = image.pixels.shape
    picture = base64.b64encode(picture_digest(image.pixels)).decode()
    measures = measure_gray_levels(image.pixels, image.facts.bits_stored)
    policy = plausibility or PlausibilityPolicy()
    implausible = rejection(find_faults(measures), policy, image_input.path)
    if implausible is not None:
        raise implausible
    laterality = image_input.laterality or image.facts.laterality or ""
    try:
        full, placement = conversion.apply(image.pixels, image.facts.bits_stored, laterality)
    except RecipeError as error:
        raise DicomError(
            f"{image_input.path} cannot be converted: {error.problem}",
            expected=error.expected,
            received=error.received,
            hint=error.hint,
        ) from error
    pixels = np.ascontiguousarray(geometry.apply(full), np.uint16)
    warnings = pixel_warnings(image.facts, measures, laterality, conversion, policy, placement)
    del image, full  # tens of megabytes, not needed while the masks are read
    lesions, rejects = [], []
    for lesion_id, mask_path, digest in image_input.lesions:
        try:
            mask = _mask(files, mask_path, digest, size)
        except DicomError as error:
            rejects.append((lesion_id, str(error)))
        else:
            lesions.append(LesionMask(lesion_id, _resize_mask(mask, placement, geometry)))
    record = ImageRecord(image_input.image_id, pixels, tuple(lesions), size[0], size[1])
    row = _statistics_row(record, placement) | _measures_row(measures, warnings)
    row["picture"] = picture
    return ConversionResult(record, row, rejects)


def _options(conversion: Conversion) -> dict[str, Any]:
    """Return the options of `read_image` that differ from its defaults."""
    names = ("voi", "for_processing", "lossy_jpeg")
    return {name: True for name in names if getattr(conversion, name)}


def _mask(files: SourceFiles, mask_path: str, digest: str, size: tuple[int, ...]) -> Any:
    """Read a mask.

    Returns:
        `(rows, columns)` of the image, above 0 (or true) inside the lesion.
    """
    name = mask_file(mask_path)
    if name is None:
        return load_mask(files, mask_path, size[0], size[1])
    if name != mask_path:  # contours
        return _read_verified(
            files, name, digest, lambda _: load_mask(files, mask_path, size[0], size[1])
        )
    # `index` checked the content of the file with this digest.
    mask = _read_verified(
        files, name, digest, lambda path: read_image(path, name, mask=True).pixels
    )
    # Some masks are smaller than their image.
    return mask if mask.shape == size else resize_mask(mask, size[0], size[1])


def _resize_mask(mask: Any, placement: CropPlacement, geometry: Geometry) -> Any:
    """Crop, flip and resize a mask like its image.

    A lesion of a few source pixels can vanish when it is resized; it keeps one pixel then.

    Args:
        mask: `(rows, columns)` of the image, above 0 (or true) inside the lesion.
        placement: Crop and flip of the image.
        geometry: Size of the record.

    Returns:
        `(height, width) bool` of the record.
    """
    cropped = placement.apply(mask)
    # Compared to 0 after resizing, when there are fewer pixels to compare.
    resized = np.ascontiguousarray(geometry.apply_mask(cropped) > 0)
    if not resized.any():
        rows, columns = np.nonzero(cropped)
        if len(rows):
            vertical, horizontal = geometry.scale(*cropped.shape)
            row = min(int(rows.mean() * vertical), resized.shape[0] - 1)
            resized[row, min(int(columns.mean() * horizontal), resized.shape[1] - 1)] = True
    return resized


def _read_verified(
    files: SourceFiles, name: str, digest: str, read: Callable[[Path], _Result]
) -> _Result:
    """Read a file that is the same as when it was indexed; retry when the disk fails.

    Its digest may be one under the site key (`image_id: keyed`).
    """
    received = "no such file"
    for attempt in range(_ATTEMPTS):
        try:
            with files.as_local_file(name) as path:
                current = file_sha256(path)
                if len(digest) == CONTENT_LENGTH:
                    current = content_key(site_key(), current)
                if current == digest:
                    return read(path)
                received = f"SHA-256 {current}"
            break
        except (FileNotFoundError, NotADirectoryError):
            break
        except OSError as error:
            if attempt == _ATTEMPTS - 1:
                raise StoreError(
                    f"The file {name} cannot be read",
                    expected="a working disk and permission to read",
                    received=error.strerror or type(error).__name__,
                ) from error
            time.sleep(0.5 * 2**attempt)
    raise SourceError(
        f"The file {name} changed since it was indexed",
        expected=f"SHA-256 {digest}",
        received=received,
        hint="run the same command again: it indexes the files first",
    )


def _measures_row(measures: GrayMeasures, warnings: list[ImageWarning]) -> dict[str, Any]:
    texts = [warning.model_dump() for warning in warnings]
    return {
        **{f"{MEASURE_PREFIX}{name}": value for name, value in asdict(measures).items()},
        "warnings": json.dumps(texts) if texts else "",
    }


def _statistics_row(record: ImageRecord, placement: CropPlacement) -> dict[str, Any]:
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
