"""`sample`: image records to patch records."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import pandas as pd

from mammo_core.datasets import ImageRecord, Manifest, StoredFile
from mammo_core.datasets.outputs import Attempt, Draft, make_output, reuse_or_make
from mammo_core.datasets.shards import read_shard
from mammo_core.datasets.tables import read_table
from mammo_core.ingest.builder import DatasetBuilder, write_records
from mammo_core.ingest.kinds import IMAGE_DATASET, PATCH_DATASET, PatchDatasetFacts
from mammo_core.ingest.partition import Partition
from mammo_core.ingest.planned_shards import ImageOutcome, ShardPlan
from mammo_core.ingest.reuse import ITEMS, reuse_from, series_id
from mammo_core.ingest.runner import RunnerConfig, advance
from mammo_core.sampling import SamplingConfig, sample_view
from mammo_core.store import Store

PATCHES_TABLE = "patches.parquet"
_PATCHES = ["patch_id", "image_id", "lesion_id", "kind", "row", "column", "overlap", "cutoff"]


def sample_id(config: SamplingConfig, seed: int, images: Manifest) -> str:
    """Return the id of the patches of an image dataset, before any work is done."""
    settings = _settings(config, seed)
    return PATCH_DATASET.content_id(settings, [(images.kind, images.id)])


def make_patches(
    attempt: Attempt,
    images: Manifest,
    config: SamplingConfig,
    seed: int,
    runner: RunnerConfig,
    partition: Partition | None = None,
) -> Draft:
    """Sample the patches of an image dataset.

    Each shard of images gives one shard of patches, sorted by patch id. A lesion or image with
    fewer patches than requested is listed in the rejects table, and its patches are kept.

    Args:
        attempt: The attempt to make the patch dataset; its store has the images.
        images: The image dataset.
        config: Settings of the sampler.
        seed: The run's seed.
        runner: Where the work is done.
        partition: Which of the planned shards to make; None: all, and the tables.
    """
    return _builder(attempt.store, images, config, seed).build(attempt, runner, partition)


def sample(
    store: Store, images: Manifest, config: SamplingConfig, seed: int, runner: RunnerConfig
) -> Manifest:
    """Return the patches of an image dataset; make and publish them unless they exist.

    Args:
        store: Where both datasets are.
        images: The image dataset.
        config: Settings of the sampler.
        seed: The run's seed.
        runner: Where the work is done.
    """
    id = sample_id(config, seed, images)
    return reuse_or_make(
        store,
        PATCH_DATASET.output(id),
        lambda: PATCH_DATASET.find(store, id),
        lambda attempt: make_patches(attempt, images, config, seed, runner),
    )[0]


def sample_partition(
    store: Store,
    images: Manifest,
    config: SamplingConfig,
    seed: int,
    partition: Partition,
    runner: RunnerConfig,
) -> Manifest:
    """Make one partition of the planned shards and publish nothing: see `sample`.

    A later `sample` of the same images with the same settings reuses these shards.

    Returns:
        A manifest of the partition's shards; it is not in the store.
    """
    return make_output(
        store,
        f"{PATCH_DATASET.output(sample_id(config, seed, images))}/{partition}",
        lambda attempt: make_patches(attempt, images, config, seed, runner, partition),
    )


def _builder(store: Store, images: Manifest, config: SamplingConfig, seed: int) -> DatasetBuilder:
    settings = _settings(config, seed)
    image_facts = IMAGE_DATASET.facts_of(images)
    series_settings = {**settings, "images": image_facts.series or images.id}
    dataset = PATCH_DATASET.manifest(
        sample_id(config, seed, images),
        config=settings,
        facts=PatchDatasetFacts(
            bit_depth=image_facts.bit_depth,
            geometry=image_facts.geometry,
            conversion=image_facts.conversion,
            patch_size=config.patch_size,
            series=series_id(PATCH_DATASET, series_settings),
        ),
        lineage={**images.lineage, "images": images.id},
    )
    items = read_table(store, images, ITEMS)
    items = items[items["shard"].ne("")]
    sources = dict(zip(items["image_id"], items["source"], strict=True))
    reused = reuse_from(store, dataset, sources, PATCHES_TABLE, "patch_id")
    new = items[~items["image_id"].isin(reused.image_ids)]
    ids_by_shard = {name: list(ids) for name, ids in new.groupby("shard")["image_id"]}
    shards: list[ShardPlan] = []
    for file in images.files_like("shard-"):
        if ids := ids_by_shard.get(file.name):
            inputs = [(id, sources[id]) for id in ids]
            digest = PATCH_DATASET.content_id(series_settings, inputs)
            index = reused.next_index + len(shards)
            shards.append(ShardPlan(index, digest, len(ids), (file, frozenset(ids))))
    return DatasetBuilder(
        step="sample",
        dataset=dataset,
        sources=sources,
        reused=reused,
        shards=shards,
        make_shard=partial(_make_shard, config=config, seed=seed),
        table=PATCHES_TABLE,
        columns=_PATCHES,
        count=_count,
    )


def _settings(config: SamplingConfig, seed: int) -> dict[str, Any]:
    return {**config.model_dump(mode="json"), "seed": seed}


def _count(rows: pd.DataFrame) -> dict[str, int]:
    kinds = {str(kind): int(count) for kind, count in rows["kind"].value_counts().items()}
    return {"patches": len(rows), **kinds}


def _make_shard(
    store: Store, folder: str, shard: ShardPlan, config: SamplingConfig, seed: int
) -> tuple[StoredFile | None, list[ImageOutcome]]:
    file, image_ids = shard.inputs

    def images() -> Iterator[tuple[ImageOutcome, Iterable[bytes]]]:
        # Images are sorted by id, and patch ids start with it, so patches are sorted too.
        for data in read_shard(store, file):
            image = ImageRecord.from_bytes(data)
            if image.image_id in image_ids:
                yield _sample(image, config, seed)
                advance()

    return write_records(store, folder, shard.index, images())


def _sample(
    image: ImageRecord, config: SamplingConfig, seed: int
) -> tuple[ImageOutcome, Iterable[bytes]]:
    view = sample_view(image, config, seed)
    rejects = [
        {
            "item": item,
            "kind": "image" if item == image.image_id else "lesion",
            "reason": reason,
            "step": "sample",
        }
        for item, reason in view.failures
    ]
    rows = [{name: getattr(patch, name) for name in _PATCHES} for patch in view.patches]
    outcome = ImageOutcome(image_id=image.image_id, rows=rows, rejects=rejects)
    return outcome, (patch.to_bytes() for patch in view.patches)
