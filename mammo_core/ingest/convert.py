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

from mammo_core.datasets import Manifest, StoredFile, content_id, find, publish
from mammo_core.datasets.shards import plan, write_shard
from mammo_core.errors import DicomError
from mammo_core.ingest.outputs import partition_manifest, put_rejects, put_rows
from mammo_core.ingest.partition import Partition
from mammo_core.ingest.planned_shards import (
    Made,
    Make,
    Part,
    Planned,
    collect,
    make_shards,
    remove_parts,
)
from mammo_core.ingest.record import STATISTICS, Item, make_record
from mammo_core.ingest.reuse import (
    ITEMS,
    Carried,
    carry,
    items_of,
    joined,
    rejects_in,
    series,
)
from mammo_core.ingest.runner import RunnerConfig
from mammo_core.ingest.showing import advance
from mammo_core.preprocessing import Conversion, Geometry
from mammo_core.sources.source_files import SourceFiles
from mammo_core.store import Store

#: Raised by hand when the bytes of image records change; a golden-bytes test watches.
CONVERT_REVISION = 3
KIND = "datasets/images"
STATISTICS_TABLE = "statistics.parquet"
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


def convert_id(config: ConvertConfig, images: pd.DataFrame, lesions: pd.DataFrame) -> str:
    """Return the id that the dataset of these tables has, before any work."""
    settings = _settings(config)
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
    """Convert the mammograms of the tables and publish the image dataset, if it is not there.

    Shards that an earlier run left, or that processes with a share of the plan made
    (`convert_partition`), are found, checked and not made again; so is what an earlier dataset of
    the same settings holds of these images.

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
    present = find(store, KIND, convert_id(config, images, lesions))
    if present is not None:
        return present
    plan = _plan(store, images, lesions, config, lineage)
    folder = plan.dataset.folder
    make_shards(store, folder, plan.shards, _maker(root, config), runner, "convert")
    manifest = _publish(store, plan, collect(store, folder, plan.shards))
    remove_parts(store, manifest)
    return manifest


def convert_partition(
    store: Store,
    images: pd.DataFrame,
    lesions: pd.DataFrame,
    partition: Partition,
    *,
    root: str | Path,
    config: ConvertConfig,
    runner: RunnerConfig,
    lineage: dict[str, str],
) -> Manifest:
    """Make one share of the planned shards, and publish nothing: see `convert`.

    Whoever then converts the same tables finds these shards.

    Returns:
        A manifest of the shards of the share; it is not in the store.
    """
    plan = _plan(store, images, lesions, config, lineage)
    own, folder = partition.select(plan.shards), plan.dataset.folder
    make_shards(store, folder, own, _maker(root, config), runner, "convert")
    return partition_manifest(plan.dataset, collect(store, folder, own))


@dataclass(frozen=True)
class _Plan:
    dataset: Manifest  # without its files
    sources: dict[str, str]
    carried: Carried
    shards: list[Planned]


def _plan(
    store: Store,
    images: pd.DataFrame,
    lesions: pd.DataFrame,
    config: ConvertConfig,
    lineage: dict[str, str],
) -> _Plan:
    items, settings = _items(images, lesions), _settings(config)
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
            "series": series(KIND, CONVERT_REVISION, settings),
        },
        lineage=lineage,
    )
    sources = dict(_source(item, config) for item in items)
    paths = {item.image_id: item.path for item in items}

    def same_path(image_id: str, rejects: list[dict[str, str]]) -> bool:
        """A rejected image is named by its path."""
        named = [row["item"] for row in rejects if row["kind"] == "image"]
        return all(name == paths[image_id] for name in named)

    carried = carry(store, dataset, sources, STATISTICS_TABLE, "image_id", same_path)
    new = [item for item in items if item.image_id not in carried.ids]
    size = config.geometry.height * config.geometry.width
    sizes = [size * 2 + len(item.lesions) * (size // 8) for item in new]
    shards = [
        Planned(
            index,
            content_id(KIND, CONVERT_REVISION, settings, [_source(item, config) for item in own]),
            len(own),
            own,
        )
        for index, own in enumerate(plan(new, sizes, config.shard_mb * 2**20), carried.next_index)
    ]
    return _Plan(dataset, sources, carried, shards)


def _settings(config: ConvertConfig) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude={"shard_mb"})


def _maker(root: str | Path, config: ConvertConfig) -> Make:
    return partial(_convert_shard, source=SourceFiles.open(str(root)).uri, config=config)


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
    store: Store, folder: str, shard: Planned, source: str, config: ConvertConfig
) -> tuple[StoredFile | None, list[Made]]:
    import cv2

    # Workers are the parallelism: threads of OpenCV's own would only get in their way.
    cv2.setNumThreads(1)
    files = SourceFiles.open(source)
    made: list[Made] = []

    def records() -> Iterator[bytes]:
        for item in shard.inputs:
            try:
                converted = make_record(item, files, config.conversion, config.geometry)
            except DicomError as error:
                rejects = [_reject(item.path, "image", str(error))]
                made.append(Made(image_id=item.image_id, rejects=rejects))
            else:
                rejects = [_reject(id, "lesion", why) for id, why in converted.rejects]
                rows = [converted.statistics]
                made.append(Made(image_id=item.image_id, rows=rows, rejects=rejects))
                yield converted.record.to_bytes()
            advance()

    file = write_shard(store, folder, shard.index, records())
    if file.count:
        return file, made
    store.delete(file.key)  # every image of it was rejected
    return None, made


def _reject(item: str, kind: str, reason: str) -> dict[str, str]:
    return {"item": item, "kind": kind, "reason": reason, "step": "convert"}


def _publish(store: Store, plan: _Plan, parts: list[Part]) -> Manifest:
    items = items_of(parts, plan.sources, plan.carried)
    made = [row for part in parts for one in part.made for row in one.rows]
    statistics = joined(plan.carried.rows, pd.DataFrame(made, columns=STATISTICS))
    rejects = rejects_in(items)
    folder = plan.dataset.folder
    files = [*plan.carried.files, *(part.file for part in parts if part.file is not None)]
    files.append(put_rows(store, folder, STATISTICS_TABLE, statistics, STATISTICS))
    files.append(put_rows(store, folder, ITEMS, items, list(items.columns)))
    files.append(put_rejects(store, folder, rejects))
    kinds = Counter(row["kind"] for row in rejects)
    counts = {
        "images": len(statistics),
        "planned": len(items),
        "lesions": int(statistics["lesions"].sum()),
        "rejected_images": kinds["image"],
        "rejected_lesions": kinds["lesion"],
    }
    manifest = plan.dataset.model_copy(update={"files": tuple(files), "counts": counts})
    return publish(store, manifest, plan.carried.base)
