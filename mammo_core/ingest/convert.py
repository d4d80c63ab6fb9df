"""`convert`: mammogram files to image records."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from mammo_core.datasets import Manifest, StoredFile, content_id, publish
from mammo_core.datasets.shards import plan, write_shard
from mammo_core.errors import DicomError
from mammo_core.ingest.outputs import published, put_rejects, put_rows
from mammo_core.ingest.record import STATISTICS, Item, make_record
from mammo_core.ingest.runner import RunnerConfig, guarded, run
from mammo_core.ingest.showing import advance, shown
from mammo_core.preprocessing import Conversion, Geometry
from mammo_core.sources.source_files import SourceFiles
from mammo_core.store import Store, open_store

#: Raised by hand when the bytes of image records change; a golden-bytes test watches.
CONVERT_REVISION = 2
KIND = "datasets/images"
BIT_DEPTH = 16


class ConvertConfig(Conversion):
    """How mammograms become records: the options of `Conversion`, and these.

    Attributes:
        geometry: Size of the records and the way to it.
        shard_mb: Target size of a shard (MB); not part of the dataset's id.
    """

    geometry: Geometry
    shard_mb: int = Field(default=128, ge=1)

    @property
    def conversion(self) -> Conversion:
        """What is done to an image before it is resized."""
        return Conversion(**{name: getattr(self, name) for name in Conversion.model_fields})


@dataclass(frozen=True)
class _ShardResult:
    file: StoredFile | None
    statistics: list[dict[str, Any]]
    rejects: list[dict[str, str]]


def convert_id(config: ConvertConfig, images: pd.DataFrame, lesions: pd.DataFrame) -> str:
    """Return the id that the dataset of these tables has, before any work."""
    settings = config.model_dump(mode="json", exclude={"shard_mb"})
    inputs = (_source(item, config) for item in _items(images, lesions))
    return content_id(KIND, CONVERT_REVISION, settings, inputs)


def convert(
    store: Store,
    images: pd.DataFrame,
    lesions: pd.DataFrame,
    *,
    root: str | Path,
    config: ConvertConfig,
    runner: RunnerConfig,
    lineage: dict[str, str],
) -> Manifest:
    """Convert the mammograms of the tables and publish the image dataset.

    Args:
        store: Where the dataset goes.
        images: The images table (sources).
        lesions: The lesions table (sources).
        root: Folder or URI that the tables' paths are relative to.
        config: Conversion, geometry and shards.
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
        facts={
            "bit_depth": BIT_DEPTH,
            "geometry": config.geometry.model_dump(mode="json"),
            "conversion": config.conversion.model_dump(mode="json"),
        },
        lineage=lineage,
    )
    size = config.geometry.height * config.geometry.width
    sizes = [size * 2 + len(item.lesions) * (size // 8) for item in items]
    shards = list(enumerate(plan(items, sizes, config.shard_mb * 2**20)))
    work = partial(
        _convert_shard,
        store_uri=store.uri,
        folder=dataset.folder,
        source=SourceFiles.open(str(root)).uri,
        config=config,
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

    with shown("convert", len(items), "images"):
        run(build, runner)
    return published(store, dataset)


def _items(images: pd.DataFrame, lesions: pd.DataFrame) -> list[Item]:
    masks: dict[str, list[tuple[str, str, str]]] = {}
    for row in lesions.itertuples():
        masks.setdefault(row.image_id, []).append((row.lesion_id, row.mask_path, row.mask_sha256))
    return [
        Item(
            row.image_id,
            row.path,
            tuple(sorted(masks.get(row.image_id, []))),
            getattr(row, "laterality", ""),
        )
        for row in images.sort_values("image_id").itertuples()
    ]


def _source(item: Item, config: ConvertConfig) -> tuple[str, str]:
    text = "\n".join(f"{lesion}\t{digest}" for lesion, _, digest in item.lesions)
    if config.orientation != "as_stored":
        text += f"\n{item.laterality}"
    return item.image_id, hashlib.sha256(text.encode()).hexdigest()


def _convert_shard(
    shard: tuple[int, list[Item]], store_uri: str, folder: str, source: str, config: ConvertConfig
) -> _ShardResult:
    import cv2

    # Workers are the parallelism: threads of OpenCV's own would only get in their way.
    cv2.setNumThreads(1)
    index, items = shard
    files = SourceFiles.open(source)
    statistics: list[dict[str, Any]] = []
    rejects: list[dict[str, str]] = []

    def records() -> Iterator[bytes]:
        for item in items:
            try:
                converted = make_record(item, files, config.conversion, config.geometry)
            except DicomError as error:
                rejects.append(_reject(item.path, "image", str(error)))
            else:
                rejects.extend(_reject(id, "lesion", why) for id, why in converted.rejects)
                statistics.append(converted.statistics)
                yield converted.record.to_bytes()
            advance()

    store = open_store(store_uri)
    file = write_shard(store, folder, index, records())
    if not statistics:
        store.delete(file.key)  # every image of it was rejected
    return _ShardResult(file if statistics else None, statistics, rejects)


def _reject(item: str, kind: str, reason: str) -> dict[str, str]:
    return {"item": item, "kind": kind, "reason": reason, "step": "convert"}


def _publish(results: list[_ShardResult], store_uri: str, dataset: Manifest, total: int) -> None:
    store = open_store(store_uri)
    statistics = [row for result in results for row in result.statistics]
    rejects = [row for result in results for row in result.rejects]
    files = [result.file for result in results if result.file is not None]
    folder = dataset.folder
    files.append(put_rows(store, folder, "statistics.parquet", statistics, STATISTICS))
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
