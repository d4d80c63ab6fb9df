"""`convert`: mammogram files to image records."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from mammo_core.datasets import ImageRecord, LesionMask, Manifest, StoredFile, content_id, publish
from mammo_core.datasets.shards import plan, write_shard
from mammo_core.datasets.tables import put_table
from mammo_core.dicom import read_any
from mammo_core.errors import DicomError, SourceError
from mammo_core.imaging import to_full_range
from mammo_core.ingest.runner import RunnerConfig, guarded, run
from mammo_core.preprocessing import Geometry
from mammo_core.progress import Progress
from mammo_core.store import Store, open_store
from mammo_core.store.base import file_sha256

#: Raised by hand when the bytes of image records change; a golden-bytes test watches.
CONVERT_REVISION = 1
KIND = "datasets/images"
BIT_DEPTH = 16


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
    found = _published(store, dataset)
    return found


_progress: Progress | None = None


class _shown:  # noqa: N801 - a context manager that reads like a verb
    """Shows progress of the items that this process converts (Direct runner)."""

    def __init__(self, total: int) -> None:
        self._total = total

    def __enter__(self) -> None:
        global _progress
        _progress = Progress("convert", self._total, "images")

    def __exit__(self, *_: object) -> None:
        global _progress
        if _progress is not None:
            _progress.close()
        _progress = None


def _published(store: Store, dataset: Manifest) -> Manifest:
    from mammo_core.datasets import find
    from mammo_core.errors import RecordError

    found = find(store, dataset.kind, dataset.id)
    if found is None:
        raise RecordError(
            f"The pipeline of {dataset.folder} ended without its manifest",
            expected=f"{dataset.key} in the store",
            received="none",
        )
    return found


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

    file = write_shard(open_store(store_uri), folder, index, records())
    return _ShardResult(file if statistics else None, statistics, rejects)


def _convert_one(
    item: _Item, root: Path, geometry: Geometry
) -> tuple[ImageRecord, list[dict[str, str]]]:
    path = root / item.path
    _unchanged(path, item.path, item.image_id)
    image = read_any(path, item.path, mammogram=True)
    full = to_full_range(image.pixels, image.facts.bits_stored)
    lesions, rejects = [], []
    for lesion_id, mask_path, digest in item.lesions:
        try:
            _unchanged(root / mask_path, mask_path, digest)
            mask = read_any(root / mask_path, mask_path).pixels
            lesions.append(LesionMask(lesion_id, _mask(mask, geometry)))
        except DicomError as error:
            rejects.append(_reject(lesion_id, "lesion", str(error)))
    rows, columns = image.pixels.shape
    pixels = geometry.apply(full).astype(np.uint16, copy=False)
    return ImageRecord(item.image_id, pixels, tuple(lesions), rows, columns), rejects


def _mask(mask: npt.NDArray[np.uint16], geometry: Geometry) -> npt.NDArray[np.bool_]:
    return np.asarray(geometry.apply_mask((mask > 0).astype(np.uint8)), bool)


def _unchanged(path: Path, name: str, digest: str) -> None:
    """Refuse a file that changed since it was indexed; retry a disk that does not answer."""
    for attempt in range(3):
        try:
            found = file_sha256(path)
            break
        except OSError:
            if attempt == 2:
                raise
            time.sleep(0.5 * 2**attempt)
    if found != digest:
        raise SourceError(
            f"The file {name} changed since it was indexed",
            expected=f"SHA-256 {digest}",
            received=f"SHA-256 {found}",
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
    statistics = pd.DataFrame(
        sorted((row for r in results for row in r.statistics), key=lambda row: row["image_id"])
    )
    rejects = pd.DataFrame(
        sorted((row for r in results for row in r.rejects), key=lambda row: row["item"]),
        columns=["item", "kind", "reason", "step"],
    )
    files = [r.file for r in results if r.file is not None]
    files.append(put_table(store, dataset.folder, "statistics.parquet", statistics))
    files.append(put_table(store, dataset.folder, "rejects.parquet", rejects))
    counts = {
        "images": len(statistics),
        "planned": total,
        "lesions": int(statistics["lesions"].sum()) if len(statistics) else 0,
        "rejected_images": int((rejects["kind"] == "image").sum()),
        "rejected_lesions": int((rejects["kind"] == "lesion").sum()),
    }
    publish(store, dataset.model_copy(update={"files": tuple(files), "counts": counts}))
