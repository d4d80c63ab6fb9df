"""`convert`: mammogram files to image records."""

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from mammo_core.datasets import ImageRecord, LesionMask, Manifest, StoredFile, content_id, publish
from mammo_core.datasets.shards import plan, write_shard
from mammo_core.dicom import read_any
from mammo_core.errors import DicomError, SourceError, StoreError
from mammo_core.imaging import resize_mask, to_full_range
from mammo_core.ingest.outputs import published, put_rejects, put_rows
from mammo_core.ingest.runner import RunnerConfig, guarded, run
from mammo_core.preprocessing import Geometry
from mammo_core.progress import Progress, progress
from mammo_core.store import Store, open_store
from mammo_core.store.base import file_sha256

#: Raised by hand when the bytes of image records change; a golden-bytes test watches.
CONVERT_REVISION = 2
KIND = "datasets/images"
BIT_DEPTH = 16
_ATTEMPTS = 3
_STATISTICS = [
    "image_id",
    "mean",
    "standard_deviation",
    "minimum",
    "maximum",
    "source_rows",
    "source_columns",
    "lesions",
]


class ConvertConfig(BaseModel):
    """How mammograms become records.

    Attributes:
        geometry: Size of the records and the way to it.
        shard_mb: Target size of a shard (MB); not part of the dataset's id.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    geometry: Geometry
    shard_mb: int = Field(default=128, ge=1)


@dataclass(frozen=True)
class _Item:
    image_id: str
    path: str
    lesions: tuple[tuple[str, str, str], ...]  # lesion id, mask path, mask SHA-256


@dataclass(frozen=True)
class _ShardResult:
    file: StoredFile | None
    statistics: list[dict[str, Any]]
    rejects: list[dict[str, str]]


def convert_id(config: ConvertConfig, images: pd.DataFrame, lesions: pd.DataFrame) -> str:
    """Return the id that the dataset of these tables has, before any work."""
    settings = config.model_dump(mode="json", exclude={"shard_mb"})
    return content_id(KIND, CONVERT_REVISION, settings, map(_source, _items(images, lesions)))


def convert(
    store: Store,
    images: pd.DataFrame,
    lesions: pd.DataFrame,
    *,
    root: Path,
    config: ConvertConfig,
    runner: RunnerConfig,
    lineage: dict[str, str],
) -> Manifest:
    """Convert the mammograms of the tables and publish the image dataset.

    Args:
        store: Where the dataset goes.
        images: The images table (sources).
        lesions: The lesions table (sources).
        root: Folder that the tables' paths are relative to.
        config: Geometry and shards.
        runner: Where the work is done.
        lineage: Ids of what the tables were made from.

    Raises:
        SourceError: When a file changed since it was indexed.
        StoreError: When reading or writing failed.
    """
    items = _items(images, lesions)
    dataset = Manifest(
        kind=KIND,
        id=convert_id(config, images, lesions),
        revision=CONVERT_REVISION,
        config=config.model_dump(mode="json"),
        files=(),
        facts={"bit_depth": BIT_DEPTH, "geometry": config.geometry.model_dump(mode="json")},
        lineage=lineage,
    )
    size = config.geometry.height * config.geometry.width
    sizes = [size * 2 + len(item.lesions) * (size // 8) for item in items]
    shards = list(enumerate(plan(items, sizes, config.shard_mb * 2**20)))
    work = partial(
        _convert_shard, store_uri=store.uri, folder=dataset.folder, root=root, config=config
    )
    finish = partial(_publish, store_uri=store.uri, dataset=dataset, total=len(items))

    def build(pipeline: Any) -> None:
        import apache_beam as beam

        _ = (
            pipeline
            | "plan" >> beam.Create(shards)
            | "spread" >> beam.Reshuffle()
            | "convert" >> beam.Map(guarded(work))
            | "collect" >> beam.combiners.ToList()
            | "publish" >> beam.Map(guarded(finish))
        )

    with _shown(len(items)):
        run(build, runner)
    return published(store, dataset)


# Of the conversion that this process runs (Direct runner); a worker elsewhere shows nothing.
_progress: Progress | None = None


@contextmanager
def _shown(total: int) -> Iterator[None]:
    global _progress
    with progress("convert", total, "images") as _progress:
        try:
            yield
        finally:
            _progress = None


def _items(images: pd.DataFrame, lesions: pd.DataFrame) -> list[_Item]:
    masks: dict[str, list[tuple[str, str, str]]] = {}
    for row in lesions.itertuples():
        masks.setdefault(row.image_id, []).append((row.lesion_id, row.mask_path, row.mask_sha256))
    return [
        _Item(row.image_id, row.path, tuple(sorted(masks.get(row.image_id, []))))
        for row in images.sort_values("image_id").itertuples()
    ]


def _source(item: _Item) -> tuple[str, str]:
    text = "\n".join(f"{lesion}\t{digest}" for lesion, _, digest in item.lesions)
    return item.image_id, hashlib.sha256(text.encode()).hexdigest()


def _convert_shard(
    shard: tuple[int, list[_Item]],
    store_uri: str,
    folder: str,
    root: Path,
    config: ConvertConfig,
) -> _ShardResult:
    index, items = shard
    statistics: list[dict[str, Any]] = []
    rejects: list[dict[str, str]] = []

    def records() -> Iterator[bytes]:
        for item in items:
            try:
                record, unusable = _convert_one(item, root, config.geometry)
            except DicomError as error:
                rejects.append(_reject(item.path, "image", str(error)))
            else:
                rejects.extend(unusable)
                statistics.append(_statistics(record))
                yield record.to_bytes()
            if _progress is not None:
                _progress.advance()

    store = open_store(store_uri)
    file = write_shard(store, folder, index, records())
    if not statistics:
        store.delete(file.key)  # every image of it was rejected
    return _ShardResult(file if statistics else None, statistics, rejects)


def _convert_one(
    item: _Item, root: Path, geometry: Geometry
) -> tuple[ImageRecord, list[dict[str, str]]]:
    path = root / item.path
    _unchanged(path, item.path, item.image_id)
    image = read_any(path, item.path, mammogram=True)
    rows, columns = image.pixels.shape
    full = to_full_range(image.pixels, image.facts.bits_stored)
    lesions, rejects = [], []
    for lesion_id, mask_path, digest in item.lesions:
        try:
            _unchanged(root / mask_path, mask_path, digest)
            mask = read_any(root / mask_path, mask_path).pixels > 0
            if mask.shape != image.pixels.shape:  # some masks are a smaller picture
                mask = resize_mask(mask, rows, columns)
            lesions.append(LesionMask(lesion_id, geometry.apply_mask(mask)))
        except DicomError as error:
            rejects.append(_reject(lesion_id, "lesion", str(error)))
    pixels = geometry.apply(full).astype(np.uint16, copy=False)
    return ImageRecord(item.image_id, pixels, tuple(lesions), rows, columns), rejects


def _unchanged(path: Path, name: str, digest: str) -> None:
    """Refuse a file that changed since it was indexed; retry a disk that does not answer."""
    found = "no such file"
    for attempt in range(_ATTEMPTS):
        try:
            found = f"SHA-256 {file_sha256(path)}"
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
    if found != f"SHA-256 {digest}":
        raise SourceError(
            f"The file {name} changed since it was indexed",
            expected=f"SHA-256 {digest}",
            received=found,
            hint="run the same command again: it will be indexed anew",
        )


def _statistics(record: ImageRecord) -> dict[str, Any]:
    pixels = record.pixels
    return {
        "image_id": record.image_id,
        "mean": float(pixels.mean(dtype=np.float64)),
        "standard_deviation": float(pixels.std(dtype=np.float64)),
        "minimum": int(pixels.min()),
        "maximum": int(pixels.max()),
        "source_rows": record.source_rows,
        "source_columns": record.source_columns,
        "lesions": len(record.lesions),
    }


def _reject(item: str, kind: str, reason: str) -> dict[str, str]:
    return {"item": item, "kind": kind, "reason": reason, "step": "convert"}


def _publish(results: list[_ShardResult], store_uri: str, dataset: Manifest, total: int) -> None:
    store = open_store(store_uri)
    statistics = [row for result in results for row in result.statistics]
    rejects = [row for result in results for row in result.rejects]
    files = [result.file for result in results if result.file is not None]
    folder = dataset.folder
    files.append(put_rows(store, folder, "statistics.parquet", statistics, _STATISTICS))
    files.append(put_rejects(store, folder, rejects))
    kinds = Counter(row["kind"] for row in rejects)
    counts = {
        "images": len(statistics),
        "planned": total,
        "lesions": sum(row["lesions"] for row in statistics),
        "rejected_images": kinds["image"],
        "rejected_lesions": kinds["lesion"],
    }
    publish(store, dataset.model_copy(update={"files": tuple(files), "counts": counts}))
