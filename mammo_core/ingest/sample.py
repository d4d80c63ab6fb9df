"""`sample`: image records to patch records."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from mammo_core.datasets import ImageRecord, Manifest, StoredFile
from mammo_core.datasets.outputs import Attempt, Draft, make_output, reuse_or_make
from mammo_core.datasets.random_access import locate_records
from mammo_core.datasets.shards import read_shard
from mammo_core.datasets.tables import read_table
from mammo_core.datasets.tfrecord import read_record
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

#: Image id → the other files of its view whose lesions fit: see `other_files`.
Others = Mapping[str, Sequence[str]]
_NONE: Final[Others] = {}


@dataclass(frozen=True)
class _Inputs:
    """What a shard of patches is made from.

    Attributes:
        file: The shard of images.
        ids: The images of it to sample.
        others: The other files of their views.
        other_shards: The shards with the records of these files.
    """

    file: StoredFile
    ids: frozenset[str]
    others: Others
    other_shards: tuple[StoredFile, ...]


def sample_id(config: SamplingConfig, seed: int, images: Manifest, others: Others = _NONE) -> str:
    """Return the id of the patches of an image dataset, before any work is done.

    Args:
        config: Settings of the sampler.
        seed: The run's seed.
        images: The image dataset.
        others: As for `make_patches`.
    """
    settings = _settings(config, seed)
    beside = [(image_id, ",".join(ids)) for image_id, ids in sorted(others.items())]
    return PATCH_DATASET.content_id(settings, [(images.kind, images.id), *beside])


def make_patches(
    attempt: Attempt,
    images: Manifest,
    config: SamplingConfig,
    seed: int,
    runner: RunnerConfig,
    partition: Partition | None = None,
    others: Others = _NONE,
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
        others: Image id → the other files of its view, whose lesions are none of its
            background.
    """
    builder = _builder(attempt.store, images, config, seed, others)
    return builder.build(attempt, runner, partition)


def sample(
    store: Store,
    images: Manifest,
    config: SamplingConfig,
    seed: int,
    runner: RunnerConfig,
    others: Others = _NONE,
) -> Manifest:
    """Return the patches of an image dataset; make and publish them unless they exist.

    Args:
        store: Where both datasets are.
        images: The image dataset.
        config: Settings of the sampler.
        seed: The run's seed.
        runner: Where the work is done.
        others: As for `make_patches`.
    """
    id = sample_id(config, seed, images, others)
    return reuse_or_make(
        store,
        PATCH_DATASET.output(id),
        lambda: PATCH_DATASET.find(store, id),
        lambda attempt: make_patches(attempt, images, config, seed, runner, others=others),
    )[0]


def sample_partition(
    store: Store,
    images: Manifest,
    config: SamplingConfig,
    seed: int,
    partition: Partition,
    runner: RunnerConfig,
    others: Others = _NONE,
) -> Manifest:
    """Make one partition of the planned shards and publish nothing: see `sample`.

    A later `sample` of the same images with the same settings reuses these shards.

    Returns:
        A manifest of the partition's shards; it is not in the store.
    """
    return make_output(
        store,
        f"{PATCH_DATASET.output(sample_id(config, seed, images, others))}/{partition}",
        lambda attempt: make_patches(attempt, images, config, seed, runner, partition, others),
    )


def _builder(
    store: Store, images: Manifest, config: SamplingConfig, seed: int, others: Others
) -> DatasetBuilder:
    settings = _settings(config, seed)
    image_facts = IMAGE_DATASET.facts_of(images)
    series_settings = {**settings, "images": image_facts.series or images.id}
    dataset = PATCH_DATASET.manifest(
        sample_id(config, seed, images, others),
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
    shard_of = dict(zip(items["image_id"], items["shard"], strict=True))
    sources = _sources(dict(zip(items["image_id"], items["source"], strict=True)), others)
    reused = reuse_from(store, dataset, sources, PATCHES_TABLE, "patch_id")
    new = items[~items["image_id"].isin(reused.image_ids)]
    ids_by_shard = {name: list(ids) for name, ids in new.groupby("shard")["image_id"]}
    shards: list[ShardPlan] = []
    files = {file.name: file for file in images.files_like("shard-")}
    for name, file in files.items():
        if ids := ids_by_shard.get(name):
            inputs = [(id, sources[id]) for id in ids]
            digest = PATCH_DATASET.content_id(series_settings, inputs)
            index = reused.next_index + len(shards)
            beside = {id: others[id] for id in ids if id in others}
            names = sorted({shard_of[id] for group in beside.values() for id in group})
            content = _Inputs(file, frozenset(ids), beside, tuple(files[each] for each in names))
            shards.append(ShardPlan(index, digest, len(ids), content))
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


def _sources(sources: dict[str, str], others: Others) -> dict[str, str]:
    """Return image id → digest of all that its patches depend on."""
    result = dict(sources)
    for image_id, ids in others.items():
        text = "\n".join([sources[image_id], *(f"{id}\t{sources[id]}" for id in ids)])
        result[image_id] = hashlib.sha256(text.encode()).hexdigest()
    return result


def _count(rows: pd.DataFrame) -> dict[str, int]:
    kinds = {str(kind): int(count) for kind, count in rows["kind"].value_counts().items()}
    return {"patches": len(rows), **kinds}


def _make_shard(
    store: Store, folder: str, shard: ShardPlan, config: SamplingConfig, seed: int
) -> tuple[StoredFile | None, list[ImageOutcome]]:
    inputs: _Inputs = shard.inputs
    beside = _other_masks(store, inputs)

    def images() -> Iterator[tuple[ImageOutcome, Iterable[bytes]]]:
        # Images are sorted by id, and patch ids start with it, so patches are sorted too.
        for data in read_shard(store, inputs.file):
            image = ImageRecord.from_bytes(data)
            if image.image_id in inputs.ids:
                others = [
                    mask for id in inputs.others.get(image.image_id, ()) for mask in beside[id]
                ]
                yield _sample(image, config, seed, others)
                advance()

    return write_records(store, folder, shard.index, images())


def _other_masks(store: Store, inputs: _Inputs) -> dict[str, list[npt.NDArray[np.bool_]]]:
    """Read the lesions of the other files: image id → `(h, w) bool` each."""
    requested = {id for ids in inputs.others.values() for id in ids}
    masks: dict[str, list[npt.NDArray[np.bool_]]] = {}
    for file in inputs.other_shards:
        path = store.fetch(file.key)
        with path.open("rb", buffering=0) as shard:
            for id, location in locate_records(str(path), file.key, "image_id"):
                if id in requested and id not in file.excluded:
                    record = ImageRecord.from_bytes(read_record(shard.fileno(), location))
                    masks[id] = [lesion.mask for lesion in record.lesions]
    return masks


def _sample(
    image: ImageRecord,
    config: SamplingConfig,
    seed: int,
    others: Sequence[npt.NDArray[np.bool_]],
) -> tuple[ImageOutcome, Iterable[bytes]]:
    view = sample_view(image, config, seed, others)
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
