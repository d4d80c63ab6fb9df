"""A dataset and its frame as folders of PNG files, under the original system's names.

    <out>/<split>/<class>/<patient>_<side>_<view>_<abnormality>_<number>.png     patches
    <out>/<split>/<neg or pos>/<patient>_<side>_<view>.png                       images
    <out>/<split>/pat_lst.txt                                                    its patients
    <out>/index.csv                                                              file → record

Splits are `train`, `val` and `test`. All patches without lesion lie in the first class's folder
(`background`), hard negatives first, with the number of the image's first abnormality, as the
original named them. Where a name is taken (two scans of one view, or lesions whose class and
number are the same) the next free one is used; `index.csv` tells what each file is.

Source: original-system.md §3.1, 3.4-3.6.
"""

import csv
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mammo_core.datasets import ImageRecord, Manifest, PatchRecord, find
from mammo_core.datasets.manifests import verify_file
from mammo_core.datasets.shards import read_shard
from mammo_core.datasets.tables import read_table
from mammo_core.errors import RecipeError, RecordError
from mammo_core.features.frame import FRAME_KIND, IMAGE_CLASSES, SPLITS, Frame, read_frame
from mammo_core.sampling.labels import FIVE_CLASSES, LabelMap
from mammo_core.store import Store

IMAGES, PATCHES = "datasets/images", "datasets/patches"
#: The original's names of the splits.
FOLDERS = {"train": "train", "validation": "val", "test": "test"}
_INDEX = ("file", "split", "class", "image_id", "patch_id", "lesion_id", "kind", "row", "column")
_SHARES = ("overlap", "cutoff")
#: Of patches without lesion, hard negatives come first: the original numbered them so.
_ORDER = {"hard_negative": 0, "background": 1, "near_lesion": 2}


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: Where.
        counts: Files by split and class, `train/mass_mal` → 12.
        left_out: Records without a label or a split.
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
) -> Exported:
    """Write a dataset as folders of 16-bit PNG files.

    Nothing lies in `out` before everything is written.

    Args:
        store: Where the dataset is.
        dataset: Images or patches.
        frame: Classes and splits.
        out: A folder that is absent or empty.
        label_map: The classes of patches.
        advance: Called with the number of records done.

    Raises:
        RecipeError: `out` holds something, or the dataset is none.
        RecordError: A shard is damaged, or dataset and frame do not belong together.
    """
    if dataset.kind not in (IMAGES, PATCHES):
        raise RecipeError(
            f"{dataset.folder} cannot be exported",
            expected=f"a dataset: {IMAGES} or {PATCHES}",
            received=dataset.kind,
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RecipeError(
            f"The export cannot be written to {out}",
            expected="a folder that is absent or empty",
            received="one that holds files" if out.is_dir() else "a file",
        )
    aside = out.with_name(f".{out.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        writer = _Writer(aside, frame)
        if dataset.kind == IMAGES:
            _images(store, dataset, frame, writer, advance)
        else:
            _patches(store, dataset, frame, label_map, writer, advance)
        writer.finish()
        if out.exists():
            out.rmdir()
        aside.rename(out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Exported(out, dict(sorted(writer.counts.items())), writer.left_out)


def frame_of(store: Store, dataset: Manifest) -> Frame:
    """Return the one frame that was published of a dataset.

    Raises:
        RecordError: There is none, or more than one: then it has to be named.
    """
    images = dataset.id if dataset.kind == IMAGES else dataset.lineage.get("images", "")
    ids = sorted({key.split("/")[1] for key in store.list(f"{FRAME_KIND}/")})
    frames = [found for id in ids if (found := find(store, FRAME_KIND, id)) is not None]
    fitting = [one.id for one in frames if one.lineage.get("images") == images]
    if len(fitting) != 1:
        raise RecordError(
            f"The frame of {dataset.folder} cannot be chosen",
            expected="one frame made of its images, or its id (--frame)",
            received=", ".join(fitting) or "no such frame",
        )
    return read_frame(store, fitting[0])


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
        """The frame's row of an image that is in a split."""
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
        place = f"{split}/{class_name}"
        name = next(n for n in names if f"{place}/{n}.png" not in self._taken)
        file = f"{place}/{name}.png"
        self._taken.add(file)
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if not done:
            raise RecordError(
                f"The pixels of {file} cannot be written as PNG",
                expected="(h, w) uint16",
                received=f"{pixels.shape} {pixels.dtype}",
            )
        path.write_bytes(data.tobytes())
        self.counts[place] = self.counts.get(place, 0) + 1
        self._patients.setdefault(split, set()).add(str(view["patient_key"]))
        self._rows.append({"file": file, "split": split, "class": class_name, **row})

    def finish(self) -> None:
        """Write the lists that go with the files."""
        for split, patients in self._patients.items():
            text = "".join(f"{name}\n" for name in sorted(patients))
            (self.folder / split / "pat_lst.txt").write_text(text)
        with (self.folder / "index.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, [*_INDEX, *_SHARES], restval="", lineterminator="\n")
            table.writeheader()
            table.writerows(sorted(self._rows, key=lambda row: str(row["file"])))


def _images(
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
            writer.write(record.pixels, view, class_name, _numbered(_stem(view)), row)
        advance(1)


def _patches(
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
    numbers = _abnormalities(store, dataset, frame)
    for patches in _by_image(_records(store, dataset)):
        view = writer.view(patches[0].image_id)
        for patch in sorted(patches, key=lambda one: (_ORDER.get(one.kind, -1), one.patch_id)):
            index = labels.get(patch.patch_id)
            if view is None or index is None:
                writer.left_out += 1
                continue
            number = numbers.lesions.get(patch.lesion_id) if patch.kind == "lesion" else None
            if number is None:
                number = numbers.images.get(patch.image_id, 0)
            stem = f"{_stem(view)}_{number}"
            row = {name: getattr(patch, name) for name in _INDEX[3:]}
            row |= {name: round(getattr(patch, name), 6) for name in _SHARES}
            names = (f"{stem}_{count:04d}" for count in range(10**9))
            writer.write(patch.pixels, view, label_map.names[index], names, row)
        advance(len(patches))


@dataclass(frozen=True)
class _Numbers:
    """Abnormality numbers: of each lesion, and the first one of each image."""

    lesions: dict[str, int]
    images: dict[str, int]


def _abnormalities(store: Store, dataset: Manifest, frame: Frame) -> _Numbers:
    """Numbers from the case tables; lesions without one are numbered within their image."""
    tables = find(store, "tables", dataset.lineage.get("tables", ""))
    told: dict[str, int] = {}
    if tables is not None:
        rows = read_table(store, tables, "lesions.parquet")
        known = rows[rows["abnormality_id"].notna()]
        pairs = zip(known["lesion_id"], known["abnormality_id"], strict=True)
        told = {str(name): int(number) for name, number in pairs}
    lesions: dict[str, int] = {}
    images: dict[str, int] = {}
    ordered = frame.lesions.sort_values("lesion_id")
    for image_id, group in ordered.groupby("image_id"):
        for place, lesion_id in enumerate(group["lesion_id"], 1):
            lesions[lesion_id] = told.get(lesion_id, place)
        images[str(image_id)] = min(lesions[name] for name in group["lesion_id"])
    return _Numbers(lesions, images)


def _records(store: Store, dataset: Manifest) -> Iterator[bytes]:
    for file in dataset.files_like("shard-"):
        verify_file(store, file)
        yield from read_shard(store, file)


def _by_image(records: Iterator[bytes]) -> Iterator[list[PatchRecord]]:
    held: list[PatchRecord] = []
    for data in records:
        patch = PatchRecord.from_bytes(data)
        if held and held[0].image_id != patch.image_id:
            yield held
            held = []
        held.append(patch)
    if held:
        yield held


def _stem(view: dict[str, Any]) -> str:
    parts = [view["patient_key"], view["laterality"], view["view"]]
    return "_".join(re.sub(r"[^\w.-]", "-", str(part)) for part in parts if _known(part))


def _known(part: Any) -> bool:
    return not pd.isna(part) and str(part) != ""


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    yield from (f"{stem}_{number}" for number in range(2, 10**9))
