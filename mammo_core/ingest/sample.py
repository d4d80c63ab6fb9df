"""`sample`: image records to patch records."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

from mammo_core.datasets import ImageRecord, Manifest, StoredFile, content_id, publish
from mammo_core.datasets.shards import read_records, write_shard
from mammo_core.ingest.outputs import put_rejects, put_rows, share_manifest
from mammo_core.ingest.parts import (
    Made,
    Make,
    Part,
    Planned,
    Share,
    collect,
    make_shards,
    remove_parts,
)
from mammo_core.ingest.runner import RunnerConfig
from mammo_core.ingest.showing import advance
from mammo_core.sampling import SamplingConfig, sample_view
from mammo_core.store import Store

#: Raised by hand when the bytes of patch records change; a golden-bytes test watches.
SAMPLE_REVISION = 3
KIND = "datasets/patches"
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
    """Sample the patches of an image dataset and publish them.

    Each shard of images gives one shard of patches, sorted by patch id. A lesion or image that
    gives fewer patches than asked is listed in the rejects table, and its patches are kept.

    Args:
        store: Where both datasets are.
        images: The image dataset.
        config: The sampler's numbers.
        seed: The run's seed.
        runner: Where the work is done.
    """
    dataset, shards = _plan(images, config, seed)
    make_shards(store, dataset.folder, shards, _maker(config, seed), runner, "sample")
    manifest = _publish(store, dataset, collect(store, dataset.folder, shards))
    remove_parts(store, manifest)
    return manifest


def sample_share(
    store: Store,
    images: Manifest,
    config: SamplingConfig,
    seed: int,
    share: Share,
    runner: RunnerConfig,
) -> Manifest:
    """Make one share of the planned shards, and publish nothing: see `sample`.

    Whoever then samples the same images in the same way finds these shards.

    Returns:
        A manifest of the shards of the share; it is not in the store.
    """
    dataset, shards = _plan(images, config, seed)
    own = share.of_plan(shards)
    make_shards(store, dataset.folder, own, _maker(config, seed), runner, "sample")
    return share_manifest(dataset, collect(store, dataset.folder, own), "images")


def _plan(images: Manifest, config: SamplingConfig, seed: int) -> tuple[Manifest, list[Planned]]:
    dataset = Manifest(
        kind=KIND,
        id=sample_id(config, seed, images),
        revision=SAMPLE_REVISION,
        config=_settings(config, seed),
        files=(),
        facts={**images.facts, "patch_size": config.patch_size},
        lineage={**images.lineage, "images": images.id},
    )
    settings = _settings(config, seed)
    shards = [
        Planned(
            index,
            content_id(KIND, SAMPLE_REVISION, settings, [(file.name, file.sha256)]),
            file.count or 0,
            file,
        )
        for index, file in enumerate(images.files_like("shard-"))
    ]
    return dataset, shards


def _maker(config: SamplingConfig, seed: int) -> Make:
    return partial(_sample_shard, config=config, seed=seed)


def _sample_shard(
    store: Store, folder: str, shard: Planned, config: SamplingConfig, seed: int
) -> tuple[StoredFile | None, list[Made]]:
    made: list[Made] = []

    def records() -> Iterator[bytes]:
        # Images are sorted by id and patch ids start with it: the patches come sorted too.
        for data in read_records(store.fetch(shard.inputs.key)):
            image = ImageRecord.from_bytes(data)
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


def _publish(store: Store, dataset: Manifest, parts: list[Part]) -> Manifest:
    made = [one for part in parts for one in part.made]
    rows = [row for one in made for row in one.rows]
    rejects = [row for one in made for row in one.rejects]
    files = [part.file for part in parts if part.file is not None]
    files.append(put_rows(store, dataset.folder, "patches.parquet", rows, _PATCHES))
    files.append(put_rejects(store, dataset.folder, rejects))
    kinds = Counter(row["kind"] for row in rejects)
    counts = {
        "patches": len(rows),
        "rejected_images": kinds["image"],
        "rejected_lesions": kinds["lesion"],
        **Counter(row["kind"] for row in rows),
    }
    return publish(store, dataset.model_copy(update={"files": tuple(files), "counts": counts}))
