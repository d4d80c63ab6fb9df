"""A dataset and its frame as folders of PNG files, under the original system's names.

    <out>/<split>/<class>/<patient>_<side>_<view>_<abnormality>_<number>.png     patches
    <out>/<split>/<neg or pos>/<patient>_<side>_<view>.png                       images
    <out>/<split>/pat_lst.txt                                                    patients
    <out>/index.csv                                                              file → record

Splits are `train`, `val` and `test`. All patches without lesion are in the folder of the first
class (`background`), hard negatives first, with the number of the image's first abnormality, as
in the original. If a name is taken (two scans of one view, or two lesions with the same class
and number), the next free one is used; `index.csv` lists the record of each file.

Source: docs/original-system.md, "Patch sampling".
"""

import csv
import itertools
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mammo_core.csv_cells import escape_row
from mammo_core.datasets import ImageRecord, Manifest, PatchRecord
from mammo_core.datasets.manifests import verify_file
from mammo_core.datasets.shards import read_shard
from mammo_core.datasets.tables import read_table
from mammo_core.errors import RecipeError, RecordError
from mammo_core.features.frame import IMAGE_CLASSES, SPLITS, Frame
from mammo_core.ingest.kinds import IMAGE_DATASET, PATCH_DATASET
from mammo_core.sampling.labels import FIVE_CLASSES, LabelMap
from mammo_core.sources.kinds import TABLES
from mammo_core.store import Store

#: Split → its folder in the original.
FOLDERS = {"train": "train", "validation": "val", "test": "test"}
_INDEX = ("file", "split", "class", "image_id", "patch_id", "lesion_id", "kind", "row", "column")
_OVERLAPS = ("overlap", "cutoff")
#: Hard negatives come before background patches, in the numbering of the original.
_ORDER = {"hard_negative": 0, "background": 1, "near_lesion": 2}


@dataclass(frozen=True)
class ExportResult:
    """The result of an export.

    Attributes:
        folder: The folder with the files.
        counts: Number of files by split and class, for instance `train/mass_mal` → 12.
        left_out: Number of records without a label or a split.
    """

    folder: Path
    counts: dict[str, int]
    left_out: int


def export(
    store: Store,
    dataset: Manifest,
    frame: Frame,
    out: Path,
    label_map: LabelMap = FIVE_CLASSES,
    advance: Callable[[int], None] = lambda count: None,
) -> ExportResult:
    """Write a dataset as folders of 16-bit PNG files.

    `out` is complete or does not exist: it is renamed when all files are written.

    Args:
        store: The object store.
        dataset: Images or patches.
        frame: Classes and splits.
        out: A new or empty folder.
        label_map: The classes of patches.
        advance: Called with the number of records that were written.

    Raises:
        RecipeError: `out` is not empty, or the manifest is not a dataset's.
        RecordError: A shard is damaged, or dataset and frame do not belong together.
    """
    if dataset.kind not in (IMAGE_DATASET.folder, PATCH_DATASET.folder):
        raise RecipeError(
            f"{dataset.folder} cannot be exported",
            expected=f"a dataset: {IMAGE_DATASET.folder} or {PATCH_DATASET.folder}",
            received=dataset.kind,
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RecipeError(
            f"The export cannot be written to {out}",
            expected="a new or empty folder",
            received="a folder with files" if out.is_dir() else "a file",
        )
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        writer = _Writer(partial, frame)
        if dataset.kind == IMAGE_DATASET.folder:
            _write_images(store, dataset, frame, writer, advance)
        else:
            _write_patches(store, dataset, frame, label_map, writer, advance)
        writer.finish()
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return ExportResult(out, dict(sorted(writer.counts.items())), writer.left_out)


class _Writer:
    def __init__(self, folder: Path, frame: Frame) -> None:
        self.folder = folder
        self.counts: dict[str, int] = {}
        self.left_out = 0
        rows = frame.images.to_dict("records")
        self._views = {row["image_id"]: row for row in rows}
        self._taken: set[str] = set()
        self._rows: list[dict[str, Any]] = []
        self._patients: dict[str, set[str]] = {}

    def view(self, image_id: str) -> dict[str, Any] | None:
        """Return the frame's row of an image; None for an image without a split."""
        row = self._views.get(image_id)
        return row if row is not None and row["split"] in SPLITS else None

    def write(
        self,
        pixels: npt.NDArray[np.uint16],
        view: dict[str, Any],
        class_name: str,
        names: Iterator[str],
        row: dict[str, Any],
    ) -> None:
        import cv2

        split = FOLDERS[view["split"]]
        group = f"{split}/{class_name}"
        name = next(n for n in names if f"{group}/{n}.png" not in self._taken)
        file = f"{group}/{name}.png"
        self._taken.add(file)
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        encoded, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if not encoded:
            raise RecordError(
                f"The pixels of {file} cannot be written as PNG",
                expected="(h, w) uint16",
                received=f"{pixels.shape} {pixels.dtype}",
            )
        path.write_bytes(data.tobytes())
        self.counts[group] = self.counts.get(group, 0) + 1
        self._patients.setdefault(split, set()).add(str(view["patient_key"]))
        self._rows.append({"file": file, "split": split, "class": class_name, **row})

    def finish(self) -> None:
        """Write the lists of patients and the index."""
        for split, patients in self._patients.items():
            text = "".join(f"{name}\n" for name in sorted(patients))
            (self.folder / split / "pat_lst.txt").write_text(text)
        with (self.folder / "index.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, [*_INDEX, *_OVERLAPS], restval="", lineterminator="\n")
            table.writeheader()
            rows = sorted(self._rows, key=lambda row: str(row["file"]))
            table.writerows(map(escape_row, rows))


def _write_images(
    store: Store,
    dataset: Manifest,
    frame: Frame,
    writer: _Writer,
    advance: Callable[[int], None],
) -> None:
    labels = dict(zip(frame.images["image_id"], frame.images["label"], strict=True))
    for data in _records(store, dataset):
        record = ImageRecord.from_bytes(data)
        view = writer.view(record.image_id)
        if view is None:
            writer.left_out += 1
        else:
            class_name = IMAGE_CLASSES[int(labels[record.image_id])]
            row = {"image_id": record.image_id}
            writer.write(record.pixels, view, class_name, _numbered_names(_stem(view)), row)
        advance(1)


def _write_patches(
    store: Store,
    dataset: Manifest,
    frame: Frame,
    label_map: LabelMap,
    writer: _Writer,
    advance: Callable[[int], None],
) -> None:
    table = read_table(store, dataset, "patches.parquet")
    labels: dict[str, int] = {}
    for split in SPLITS:
        labels |= frame.patch_labels(table, split, label_map)
    numbers = _abnormality_numbers(store, dataset, frame)
    for patches in _by_image(_records(store, dataset)):
        view = writer.view(patches[0].image_id)
        for patch in sorted(patches, key=_export_order):
            index = labels.get(patch.patch_id)
            if view is None or index is None:
                writer.left_out += 1
                continue
            number = numbers.lesions.get(patch.lesion_id) if patch.kind == "lesion" else None
            if number is None:
                number = numbers.images.get(patch.image_id, 0)
            stem = f"{_stem(view)}_{number}"
            row = {name: getattr(patch, name) for name in _INDEX[3:]}
            row |= {name: round(getattr(patch, name), 6) for name in _OVERLAPS}
            names = (f"{stem}_{count:04d}" for count in range(10**9))
            writer.write(patch.pixels, view, label_map.names[index], names, row)
        advance(len(patches))


@dataclass(frozen=True)
class _AbnormalityNumbers:
    """The abnormality number of each lesion, and the first one of each image."""

    lesions: dict[str, int]
    images: dict[str, int]


def _abnormality_numbers(store: Store, dataset: Manifest, frame: Frame) -> _AbnormalityNumbers:
    """Return the numbers of the case tables; other lesions are numbered within their image."""
    tables = TABLES.find(store, dataset.lineage.get("tables", ""))
    given: dict[str, int] = {}
    if tables is not None:
        rows = read_table(store, tables, "lesions.parquet")
        rows = rows[rows["abnormality_id"].notna()]
        pairs = zip(rows["lesion_id"], rows["abnormality_id"], strict=True)
        given = {str(lesion_id): int(number) for lesion_id, number in pairs}
    lesions: dict[str, int] = {}
    images: dict[str, int] = {}
    ordered = frame.lesions.sort_values("lesion_id")
    for image_id, group in ordered.groupby("image_id"):
        for number, lesion_id in enumerate(group["lesion_id"], 1):
            lesions[lesion_id] = given.get(lesion_id, number)
        images[str(image_id)] = min(lesions[lesion_id] for lesion_id in group["lesion_id"])
    return _AbnormalityNumbers(lesions, images)


def _records(store: Store, dataset: Manifest) -> Iterator[bytes]:
    for file in dataset.files_like("shard-"):
        verify_file(store, file)
        yield from read_shard(store, file)


def _by_image(records: Iterator[bytes]) -> Iterator[list[PatchRecord]]:
    """Yield the patches of each image; records are sorted by image id."""
    patches = (PatchRecord.from_bytes(data) for data in records)
    for _, group in itertools.groupby(patches, key=lambda patch: patch.image_id):
        yield list(group)


def _export_order(patch: PatchRecord) -> tuple[int, str]:
    return _ORDER.get(patch.kind, -1), patch.patch_id


def _stem(view: dict[str, Any]) -> str:
    """Return the patient, side and view of an image as part of a file name."""
    values = [view["patient_key"], view["laterality"], view["view"]]
    words = [str(value) for value in values if not pd.isna(value) and str(value) != ""]
    return "_".join(re.sub(r"[^\w.-]", "-", word) for word in words)


def _numbered_names(stem: str) -> Iterator[str]:
    yield stem
    yield from (f"{stem}_{number}" for number in range(2, 10**9))
