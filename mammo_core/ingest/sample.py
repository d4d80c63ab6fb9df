"""`sample`: image records to patch records."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from mammo_core.datasets import ImageRecord, Manifest, StoredFile, content_id, find, publish
from mammo_core.datasets.shards import read_shard, write_shard
from mammo_core.datasets.tables import read_table
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
from mammo_core.sampling import SamplingConfig, sample_view
from mammo_core.store import Store

#: Raised by hand when the bytes of patch records change; a golden-bytes test watches.
SAMPLE_REVISION = 4
KIND = "datasets/patches"
PATCHES_TABLE = "patches.parquet"
_PATCHES = ["patch_id", "image_id", "lesion_id", "kind", "row", "column", "overlap", "cutoff"]


def _settings(config: SamplingConfig, seed: int) -> dict[str, Any]:
    return {**config.model_dump(mode="json"), "seed": seed}


def sample_id(config: SamplingConfig, seed: int, images: Manifest) -> str:
    """Return the id that the patches of an image dataset have, before any work."""
    settings = _settings(config, seed)
    return content_id(KIND, SAMPLE_REVISION, settings, [(images.kind, images.id)])


def sample(
    store: Store, images: Manifest, config: SamplingConfig, seed: int, runner: RunnerConfig
) -> Manifest:
    """Sample the patches of an image dataset and publish them, if they are not there.

    Each shard of images gives one shard of patches, sorted by patch id. A lesion or image that
    gives fewer patches than asked is listed in the rejects table, and its patches are kept.

    Args:
        store: Where both datasets are.
        images: The image dataset.
        config: The sampler's numbers.
        seed: The run's seed.
        runner: Where the work is done.
    """
    present = find(store, KIND, sample_id(config, seed, images))
    if present is not None:
        return present
    plan = _plan(store, images, config, seed)
    folder = plan.dataset.folder
    make_shards(store, folder, plan.shards, _maker(config, seed), runner, "sample")
    manifest = _publish(store, plan, collect(store, folder, plan.shards))
    remove_parts(store, manifest)
    return manifest


def sample_partition(
    store: Store,
    images: Manifest,
    config: SamplingConfig,
    seed: int,
    partition: Partition,
    runner: RunnerConfig,
) -> Manifest:
    """Make one share of the planned shards, and publish nothing: see `sample`.

    Whoever then samples the same images in the same way finds these shards.

    Returns:
        A manifest of the shards of the share; it is not in the store.
    """
    plan = _plan(store, images, config, seed)
    own, folder = partition.select(plan.shards), plan.dataset.folder
    make_shards(store, folder, own, _maker(config, seed), runner, "sample")
    return partition_manifest(plan.dataset, collect(store, folder, own))


@dataclass(frozen=True)
class _Plan:
    dataset: Manifest  # without its files
    sources: dict[str, str]
    carried: Carried
    shards: list[Planned]


def _plan(store: Store, images: Manifest, config: SamplingConfig, seed: int) -> _Plan:
    settings = _settings(config, seed)
    revisions = {"images": images.facts.get("series", images.id)}
    dataset = Manifest(
        kind=KIND,
        id=sample_id(config, seed, images),
        revision=SAMPLE_REVISION,
        config=settings,
        files=(),
        facts={
            **images.facts,
            "patch_size": config.patch_size,
            "series": series(KIND, SAMPLE_REVISION, {**settings, **revisions}),
        },
        lineage={**images.lineage, "images": images.id},
    )
    items = read_table(store, images, ITEMS)
    items = items[items["shard"].ne("")]
    sources = dict(zip(items["image_id"], items["source"], strict=True))
    carried = carry(store, dataset, sources, PATCHES_TABLE, "patch_id")
    new = items[~items["image_id"].isin(carried.ids)]
    inside = {name: list(own) for name, own in new.groupby("shard")["image_id"]}
    shards: list[Planned] = []
    for file in images.files_like("shard-"):
        if own := inside.get(file.name):
            told = [(id, sources[id]) for id in own]
            digest = content_id(KIND, SAMPLE_REVISION, {**settings, **revisions}, told)
            index = carried.next_index + len(shards)
            shards.append(Planned(index, digest, len(own), (file, frozenset(own))))
    return _Plan(dataset, sources, carried, shards)


def _maker(config: SamplingConfig, seed: int) -> Make:
    return partial(_sample_shard, config=config, seed=seed)


def _sample_shard(
    store: Store, folder: str, shard: Planned, config: SamplingConfig, seed: int
) -> tuple[StoredFile | None, list[Made]]:
    made: list[Made] = []

    def records() -> Iterator[bytes]:
        # Images are sorted by id and patch ids start with it: the patches come sorted too.
        file, wanted = shard.inputs
        for data in read_shard(store, file):
            image = ImageRecord.from_bytes(data)
            if image.image_id not in wanted:
                continue
            view = sample_view(image, config, seed)
            advance()
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
            made.append(Made(image_id=image.image_id, rows=rows, rejects=rejects))
            for patch in view.patches:
                yield patch.to_bytes()

    file = write_shard(store, folder, shard.index, records())
    if file.count:
        return file, made
    store.delete(file.key)
    return None, made


def _publish(store: Store, plan: _Plan, parts: list[Part]) -> Manifest:
    items = items_of(parts, plan.sources, plan.carried)
    made = [row for part in parts for one in part.made for row in one.rows]
    rows = joined(plan.carried.rows, pd.DataFrame(made, columns=_PATCHES))
    rejects = rejects_in(items)
    folder = plan.dataset.folder
    files = [*plan.carried.files, *(part.file for part in parts if part.file is not None)]
    files.append(put_rows(store, folder, PATCHES_TABLE, rows, _PATCHES))
    files.append(put_rows(store, folder, ITEMS, items, list(items.columns)))
    files.append(put_rejects(store, folder, rejects))
    kinds = Counter(row["kind"] for row in rejects)
    counts = {
        "patches": len(rows),
        "rejected_images": kinds["image"],
        "rejected_lesions": kinds["lesion"],
        **{str(kind): int(count) for kind, count in rows["kind"].value_counts().items()},
    }
    manifest = plan.dataset.model_copy(update={"files": tuple(files), "counts": counts})
    return publish(store, manifest, plan.carried.base)
