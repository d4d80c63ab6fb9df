"""`sample`: image records to patch records."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from mammo_core.datasets import ImageRecord, Manifest, StoredFile, content_id, publish
from mammo_core.datasets.shards import read_records, write_shard
from mammo_core.ingest.outputs import published, put_rejects, put_rows
from mammo_core.ingest.runner import RunnerConfig, guarded, run
from mammo_core.ingest.showing import advance, shown
from mammo_core.sampling import SamplingConfig, sample_view
from mammo_core.store import Store, open_store

#: Raised by hand when the bytes of patch records change; a golden-bytes test watches.
SAMPLE_REVISION = 2
KIND = "datasets/patches"
_PATCHES = ["patch_id", "image_id", "lesion_id", "kind", "row", "column", "overlap", "cutoff"]


@dataclass(frozen=True)
class _ShardResult:
    file: StoredFile | None
    patches: list[dict[str, Any]]
    rejects: list[dict[str, str]]


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
    dataset = Manifest(
        kind=KIND,
        id=sample_id(config, seed, images),
        revision=SAMPLE_REVISION,
        config=_settings(config, seed),
        files=(),
        facts={**images.facts, "patch_size": config.patch_size},
        lineage={**images.lineage, "images": images.id},
    )
    shards = list(enumerate(images.files_like("shard-")))
    work = partial(
        _sample_shard, store_uri=store.uri, folder=dataset.folder, config=config, seed=seed
    )
    finish = partial(_publish, store_uri=store.uri, dataset=dataset)

    def build(pipeline: Any) -> None:
        import apache_beam as beam

        _ = (
            pipeline
            | "plan" >> beam.Create(shards)
            | "spread" >> beam.Reshuffle()
            | "sample" >> beam.Map(guarded(work))
            | "collect" >> beam.combiners.ToList()
            | "publish" >> beam.Map(guarded(finish))
        )

    with shown("sample", images.counts["images"], "images"):
        run(build, runner)
    return published(store, dataset)


def _sample_shard(
    shard: tuple[int, StoredFile], store_uri: str, folder: str, config: SamplingConfig, seed: int
) -> _ShardResult:
    index, file = shard
    store = open_store(store_uri)
    rows: list[dict[str, Any]] = []
    rejects: list[dict[str, str]] = []

    def records() -> Iterator[bytes]:
        # Images are sorted by id and patch ids start with it: the patches come sorted too.
        for data in read_records(store.fetch(file.key)):
            image = ImageRecord.from_bytes(data)
            view = sample_view(image, config, seed)
            advance()
            for item, reason in view.failures:
                kind = "image" if item == image.image_id else "lesion"
                rejects.append({"item": item, "kind": kind, "reason": reason, "step": "sample"})
            for patch in view.patches:
                rows.append({name: getattr(patch, name) for name in _PATCHES})
                yield patch.to_bytes()

    written = write_shard(store, folder, index, records())
    if not rows:
        store.delete(written.key)
    return _ShardResult(written if rows else None, rows, rejects)


def _publish(results: list[_ShardResult], store_uri: str, dataset: Manifest) -> None:
    store = open_store(store_uri)
    rows = [row for result in results for row in result.patches]
    rejects = [row for result in results for row in result.rejects]
    files = [result.file for result in results if result.file is not None]
    files.append(put_rows(store, dataset.folder, "patches.parquet", rows, _PATCHES))
    files.append(put_rejects(store, dataset.folder, rejects))
    kinds = Counter(row["kind"] for row in rejects)
    counts = {
        "patches": len(rows),
        "rejected_images": kinds["image"],
        "rejected_lesions": kinds["lesion"],
        **Counter(row["kind"] for row in rows),
    }
    publish(store, dataset.model_copy(update={"files": tuple(files), "counts": counts}))
