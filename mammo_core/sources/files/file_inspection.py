"""Inspect the files of a source: spacing, gray levels, equal pixels, thumbnails."""

import base64
import hashlib
import os
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from mammo_core.dicom import ImageWarning, read_facts, read_image
from mammo_core.errors import DicomError, RecipeError
from mammo_core.imaging import (
    Fault,
    GrayMeasures,
    find_faults,
    measure_gray_levels,
    resize,
    to_full_range,
)
from mammo_core.preprocessing import Conversion
from mammo_core.sources.auditing.gray_levels import chest_wall_warnings
from mammo_core.sources.files.file_fact_cache import FileFactCache
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.splitting.splits import SplitResult
from mammo_core.sources.tables.source_tables import ProgressCall, run_all

#: Rows and columns of a thumbnail.
_THUMBNAIL: Final = (176, 136)
#: Images of each split and label on the contact sheet.
SHOWN_PER_GROUP: Final = 8
#: Threads; each keeps a decoded image of tens of megabytes.
_DECODERS: Final = 4

Thumbnail = np.ndarray[Any, np.dtype[np.uint16]]


@dataclass(frozen=True)
class FileInspection:
    """What the files themselves show, beyond the tables.

    Args:
        spacing: image_id → `0.050 mm (ImagerPixelSpacing)`, or `unknown`.
        pixel_sha256: image_id → digest of the decoded pixels, for images that share their
            size with another one.
        compared: Whether images were compared by pixels at all.
        measured: Images whose gray levels were measured.
        faults: image_id → what no mammogram has of its gray levels, for images with such faults.
        warnings: image_id → what its header and pixels warn of, for images with warnings.
        thumbnails: image_id → (176, 136) uint16, [0, 65535], of the images to show, and of those
            whose gray levels no mammogram has.
        undecodable: image_id → why its pixels could not be decoded.
        fact_cache: Cache of the contact sheet; None keeps none.
    """

    spacing: dict[str, str] = field(default_factory=dict)
    pixel_sha256: dict[str, str] = field(default_factory=dict)
    compared: bool = False
    measured: set[str] = field(default_factory=set)
    faults: dict[str, tuple[Fault, ...]] = field(default_factory=dict)
    warnings: dict[str, tuple[ImageWarning, ...]] = field(default_factory=dict)
    thumbnails: dict[str, Thumbnail] = field(default_factory=dict)
    undecodable: dict[str, str] = field(default_factory=dict)
    fact_cache: FileFactCache | None = None

    def duplicates(self) -> list[list[str]]:
        """Return the groups of images with equal pixels in different files."""
        groups: dict[str, list[str]] = defaultdict(list)
        for image_id, digest in sorted(self.pixel_sha256.items()):
            groups[digest].append(image_id)
        return [group for group in groups.values() if len(group) > 1]


def inspect_files(
    files: SourceFiles,
    images: pd.DataFrame,
    split: SplitResult | None = None,
    progress: ProgressCall | None = None,
) -> FileInspection:
    """Read the headers of all images, decode them, measure their gray levels and compare them.

    Only images of equal size can have equal pixels, so only those are compared. From a bucket only
    the few that are shown are fetched: `convert` measures the others.

    Args:
        files: The files of the source.
        images: Its table of images.
        split: The split of each image; None takes the official split.
        progress: Called with what is being done, how many are done, and of how many.

    Raises:
        OSError: The disk failed.
        StoreError: The server failed.
    """
    ids, names = images["image_id"].tolist(), images["path"].tolist()
    shared = images.duplicated(["rows", "columns"], keep=False).to_numpy()
    shown = {image_id for group in shown_groups(images, split).values() for image_id in group}
    result = FileInspection(compared=not files.remote, fact_cache=files.fact_cache)

    def inspect(at: int) -> None:
        image_id, name = ids[at], names[at]
        compare = result.compared and bool(shared[at])
        draw = image_id in shown
        image = files.cached(
            f"audit, compare: {compare}, draw: {draw}, measure: {result.compared or draw}",
            [name],
            _IMAGE_INSPECTION,
            lambda: _inspect_image(files, name, compare, draw, result.compared),
        )
        result.spacing[image_id] = sys.intern(image.spacing)
        if image.pixel_sha256:
            result.pixel_sha256[image_id] = image.pixel_sha256
        if image.measures is not None:
            result.measured.add(image_id)
            if faults := find_faults(image.measures):
                result.faults[image_id] = tuple(faults)
        if image.warnings:
            result.warnings[image_id] = image.warnings
        if image.thumbnail:
            pixels = np.frombuffer(base64.b64decode(image.thumbnail), "<u2")
            result.thumbnails[image_id] = pixels.reshape(_THUMBNAIL)
        if image.undecodable:
            result.undecodable[image_id] = image.undecodable

    with ThreadPoolExecutor(min(_DECODERS, len(os.sched_getaffinity(0)))) as pool:
        run_all(pool, inspect, list(range(len(ids))), "images to audit", progress)
    return result


@dataclass(frozen=True)
class _ImageInspection:
    """Inspection of one image; its thumbnail little-endian, in base 64."""

    spacing: str
    pixel_sha256: str = ""
    thumbnail: str = ""
    undecodable: str = ""
    measures: GrayMeasures | None = None
    warnings: tuple[ImageWarning, ...] = ()


_IMAGE_INSPECTION: Final = TypeAdapter(_ImageInspection)


def _inspect_image(
    files: SourceFiles, name: str, compare: bool, draw: bool, measure: bool
) -> _ImageInspection:
    try:
        with files.as_local_header(name) as path:
            facts = read_facts(path, name, for_processing=True, lossy_jpeg=files.lossy_jpeg)
    except DicomError:
        facts = None  # the header is longer than the part of an object that is fetched
    spacing = "unknown"
    if facts is not None and facts.spacing_mm is not None:
        spacing = f"{facts.spacing_mm:.3f} mm ({facts.spacing_source})"
    if not compare and not draw and not measure:
        return _ImageInspection(spacing)
    digest = thumbnail = ""
    try:
        with files.as_local_file(name) as path:
            image = read_image(path, name, for_processing=True, lossy_jpeg=files.lossy_jpeg)
        if compare:
            pixels = np.ascontiguousarray(image.pixels)
            digest = files.content_id(hashlib.sha256(pixels.data).hexdigest())
        measures = measure_gray_levels(image.pixels, image.facts.bits_stored)
        if draw or find_faults(measures):
            small = resize(image.pixels, *_THUMBNAIL, mode="pad")
            pixels = to_full_range(small, image.facts.bits_stored).astype("<u2")
            thumbnail = base64.b64encode(pixels.tobytes()).decode()
    except (DicomError, RecipeError) as error:
        return _ImageInspection(spacing, digest, "", str(error))
    # What a header alone cannot show: the side of the tissue.
    sides = chest_wall_warnings(image.facts, measures, "", Conversion())
    warnings = (*image.facts.warnings, *sides)
    return _ImageInspection(spacing, digest, thumbnail, "", measures, warnings)


def split_names(images: pd.DataFrame, split: SplitResult | None) -> pd.Series:
    """Return the split of each image; `none` for those without an official one.

    Args:
        images: Table of images.
        split: The split of each image; None takes the official split.
    """
    if split is None:
        return images["official_split"].replace("", "none")
    names: pd.Series = images["image_id"].map(split.images.set_index("image_id")["split"])
    return names


def used_splits(splits: pd.Series) -> list[str]:
    """Return the splits that have an image, training first.

    Args:
        splits: The split of each image.
    """
    names = ["train", "validation", "test", "excluded"]
    others = sorted({str(name) for name in splits} - set(names))
    return [name for name in (*names, *others) if (splits == name).any()]


def shown_groups(images: pd.DataFrame, split: SplitResult | None) -> dict[str, list[str]]:
    """Return the ids of the images to show of each split and label: the first in order.

    Args:
        images: Table of images.
        split: The split of each image; None takes the official split.
    """
    splits = split_names(images, split)
    groups: dict[str, list[str]] = {}
    for name in used_splits(splits):
        for label, words in ((1, "malignant"), (0, "not malignant")):
            chosen = images[(splits == name) & (images["malignant"] == label)]
            groups[f"{name}\n{words}"] = sorted(chosen["image_id"])[:SHOWN_PER_GROUP]
    return {name: group for name, group in groups.items() if group}
