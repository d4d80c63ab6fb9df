"""`convert`: mammogram files to image records."""

import hashlib
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pandas as pd

from mammo_core.datasets import Manifest, StoredFile
from mammo_core.datasets.outputs import Attempt, Draft, make_output, reuse_or_make
from mammo_core.datasets.shards import plan
from mammo_core.errors import DicomError
from mammo_core.ingest.builder import DatasetBuilder, write_records
from mammo_core.ingest.config import ConvertConfig
from mammo_core.ingest.kinds import IMAGE_DATASET, ImageDatasetFacts
from mammo_core.ingest.partition import Partition
from mammo_core.ingest.planned_shards import ImageOutcome, ShardPlan
from mammo_core.ingest.record import STATISTICS, ImageInput, convert_image
from mammo_core.ingest.reuse import reuse_from, series_id
from mammo_core.ingest.runner import RunnerConfig, advance
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.store import Store

STATISTICS_TABLE = "statistics.parquet"
BIT_DEPTH: Final = 16


def convert_id(config: ConvertConfig, images: pd.DataFrame, lesions: pd.DataFrame) -> str:
    """Return the id of the dataset of these tables, before any work is done."""
    sources = (_source(image, config) for image in _inputs(images, lesions))
    return IMAGE_DATASET.content_id(_settings(config), sources)


def make_images(
    attempt: Attempt,
    images: pd.DataFrame,
    lesions: pd.DataFrame,
    *,
    root: str | Path | SourceFiles,
    config: ConvertConfig,
    runner: RunnerConfig,
    lineage: dict[str, str],
    partition: Partition | None = None,
) -> Draft:
    """Convert the mammograms of the tables to the records of an image dataset.

    Shards left by an interrupted run or made as a partition are verified and reused, and so are
    the records of an earlier dataset with the same settings.

    Args:
        attempt: The attempt to make the dataset.
        images: The images table (sources).
        lesions: The lesions table (sources).
        root: Folder or URI that the paths of the tables are relative to, or the files there.
        config: Conversion, geometry and size of shards.
        runner: Where the work is done.
        lineage: Ids of what the tables were made from.
        partition: Which of the planned shards to make; None: all, and the tables.

    Raises:
        SourceError: A file changed since it was indexed.
        StoreError: Reading or writing failed.
    """
    builder = _builder(attempt.store, images, lesions, root, config, lineage)
    return builder.build(attempt, runner, partition)


def convert(
    store: Store,
    images: pd.DataFrame,
    lesions: pd.DataFrame,
    *,
    config: ConvertConfig,
    **options: Any,
) -> Manifest:
    """Return the image dataset of the tables; make and publish it unless it exists.

    Args:
        store: Where the dataset goes.
        images: The images table (sources).
        lesions: The lesions table (sources).
        config: Conversion, geometry and size of shards.
        options: The other options of `make_images`, which raises the same errors.
    """
    id = convert_id(config, images, lesions)
    return reuse_or_make(
        store,
        IMAGE_DATASET.output(id),
        lambda: IMAGE_DATASET.find(store, id),
        lambda attempt: make_images(attempt, images, lesions, config=config, **options),
    )[0]


def convert_partition(
    store: Store,
    images: pd.DataFrame,
    lesions: pd.DataFrame,
    partition: Partition,
    *,
    config: ConvertConfig,
    **options: Any,
) -> Manifest:
    """Make one partition of the planned shards and publish nothing: see `convert`.

    A later `convert` of the same tables reuses these shards.

    Returns:
        A manifest of the partition's shards; it is not in the store.
    """
    return make_output(
        store,
        f"{IMAGE_DATASET.output(convert_id(config, images, lesions))}/{partition}",
        lambda attempt: make_images(
            attempt, images, lesions, config=config, partition=partition, **options
        ),
    )


def _builder(
    store: Store,
    images: pd.DataFrame,
    lesions: pd.DataFrame,
    root: str | Path | SourceFiles,
    config: ConvertConfig,
    lineage: dict[str, str],
) -> DatasetBuilder:
    inputs, settings = _inputs(images, lesions), _settings(config)
    if not isinstance(root, SourceFiles):
        root = SourceFiles.open(str(root), lossy_jpeg=config.lossy_jpeg)
    dataset = IMAGE_DATASET.manifest(
        convert_id(config, images, lesions),
        config=config.model_dump(mode="json"),
        facts=ImageDatasetFacts(
            bit_depth=BIT_DEPTH,
            geometry=config.geometry,
            conversion=config.conversion,
            series=series_id(IMAGE_DATASET, settings),
        ),
        lineage=lineage,
    )
    sources = dict(_source(image, config) for image in inputs)
    paths = {image.image_id: image.path for image in inputs}

    def has_same_path(image_id: str, rejects: list[dict[str, str]]) -> bool:
        """Whether the rejects, which name the image by its path, still name it correctly."""
        names = [row["item"] for row in rejects if row["kind"] == "image"]
        return all(name == paths[image_id] for name in names)

    reused = reuse_from(store, dataset, sources, STATISTICS_TABLE, "image_id", has_same_path)
    new = [image for image in inputs if image.image_id not in reused.image_ids]
    pixels = config.geometry.height * config.geometry.width
    sizes = [pixels * 2 + len(image.lesions) * (pixels // 8) for image in new]
    groups = plan(new, sizes, config.shard_mb * 2**20)

    def digest(group: list[ImageInput]) -> str:
        return IMAGE_DATASET.content_id(settings, [_source(image, config) for image in group])

    def count(rows: pd.DataFrame) -> dict[str, int]:
        lesions = int(rows["lesions"].sum())
        return {"images": len(rows), "planned": len(inputs), "lesions": lesions}

    return DatasetBuilder(
        step="convert",
        dataset=dataset,
        sources=sources,
        reused=reused,
        shards=[
            ShardPlan(index, digest(group), len(group), group)
            for index, group in enumerate(groups, reused.next_index)
        ],
        make_shard=partial(_make_shard, files=root, config=config),
        table=STATISTICS_TABLE,
        columns=STATISTICS,
        count=count,
    )


def _settings(config: ConvertConfig) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude={"shard_mb"})


def _inputs(images: pd.DataFrame, lesions: pd.DataFrame) -> list[ImageInput]:
    masks: dict[str, list[tuple[str, str, str]]] = {}
    for row in lesions.itertuples():
        masks.setdefault(row.image_id, []).append((row.lesion_id, row.mask_path, row.mask_sha256))
    return [
        ImageInput(
            row.image_id,
            row.path,
            tuple(sorted(masks.get(row.image_id, []))),
            getattr(row, "laterality", ""),
        )
        for row in images.sort_values("image_id").itertuples()
    ]


def _source(image: ImageInput, config: ConvertConfig) -> tuple[str, str]:
    """Return the image id, and the digest of everything else its record depends on."""
    text = "\n".join(f"{lesion}\t{digest}" for lesion, _, digest in image.lesions)
    if config.orientation != "as_stored":
        text += f"\n{image.laterality}"
    return image.image_id, hashlib.sha256(text.encode()).hexdigest()


def _make_shard(
    store: Store, folder: str, shard: ShardPlan, files: SourceFiles, config: ConvertConfig
) -> tuple[StoredFile | None, list[ImageOutcome]]:
    import cv2

    cv2.setNumThreads(1)  # the runner's workers already use every core

    def images() -> Iterator[tuple[ImageOutcome, Iterable[bytes]]]:
        for image in shard.inputs:
            yield _convert(image, files, config)
            advance()

    return write_records(store, folder, shard.index, images())


def _convert(
    image: ImageInput, files: SourceFiles, config: ConvertConfig
) -> tuple[ImageOutcome, Iterable[bytes]]:
    try:
        result = convert_image(
            image, files, config.conversion, config.geometry, config.plausibility
        )
    except DicomError as error:
        rejects = [_reject(image.path, "image", str(error))]
        return ImageOutcome(image_id=image.image_id, rejects=rejects), []
    rejects = [_reject(lesion_id, "lesion", reason) for lesion_id, reason in result.rejects]
    rows = [result.statistics]
    outcome = ImageOutcome(image_id=image.image_id, rows=rows, rejects=rejects)
    return outcome, [result.record.to_bytes()]


def _reject(item: str, kind: str, reason: str) -> dict[str, str]:
    return {"item": item, "kind": kind, "reason": reason, "step": "convert"}
