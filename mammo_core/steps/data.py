"""The steps from files to patches and frames."""

import hashlib
import json
import os
from functools import partial
from typing import Any

from mammo_core.datasets import Manifest, content_id, find, publish
from mammo_core.datasets.manifests import put_bytes
from mammo_core.datasets.tables import put_table, read_table, to_parquet
from mammo_core.errors import StoreError
from mammo_core.ingest.partition import Partition
from mammo_core.sources.adapter import get_adapter
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.patients import site_key_state
from mammo_core.sources.source_files import SourceFiles
from mammo_core.steps.base import StepContext, step
from mammo_core.steps.contamination import require_unseen_test_patients, starts_of

#: Raised by hand when the tables that `index` writes change.
INDEX_REVISION = 3
TABLES = "tables"


@step("index")
def index(context: StepContext) -> Manifest:
    """Find and describe the mammograms of the recipe's source: tables of images and lesions."""
    source = context.recipe.source
    files = source.files()
    files.require_root(
        f"source's folder {source.root}",
        "make the phantom first with `mammo phantom create`, or give --source DIR",
    )
    memo = f"{TABLES}/memos/{_listing(source, files)}.json"
    if context.store.exists(memo):
        found = find(context.store, TABLES, json.loads(context.store.read(memo))["tables"])
        if found is not None:
            context.found = True
            context.say(f"found {found.folder}")
            _check_index(context, found)
            return found
    manifest = _index(context)
    context.store.write(memo, json.dumps({"tables": manifest.id}).encode())
    _check_index(context, manifest)
    return manifest


def _check_index(context: StepContext, manifest: Manifest) -> None:
    counts = manifest.counts
    context.facts = {"leaking_patients": manifest.facts["leaking_patients"]}
    if counts["leaking_patients"]:
        context.say(
            "leaking patients, in both official training and test tables: "
            f"{counts['leaking_patients']} ({_listed(manifest.facts['leaking_patients'])})"
        )
    context.check_rejects(
        counts["rejects"],
        counts["images"] + counts["lesions"] + counts["rejects"],
        "inputs",
        f"{manifest.folder}/rejects.parquet",
    )


def _listed(keys: list[str]) -> str:
    return ", ".join(keys[:5]) + (" …" if len(keys) > 5 else "")


def _index(context: StepContext) -> Manifest:
    from mammo_core.progress import Progress
    from mammo_core.sources import index as read_source
    from mammo_core.sources.audit_report import audit_page
    from mammo_core.sources.file_fact_cache import FileFactCache
    from mammo_core.sources.file_inspection import inspect_files
    from mammo_core.sources.splits import official_splits

    shown: dict[str, Progress] = {}

    def told(what: str, done: int, total: int) -> None:
        if what not in shown:
            shown[what] = Progress(f"index {what}", total, what.rsplit(maxsplit=1)[-1])
        shown[what].advance(done - shown[what].done)

    source = context.recipe.source
    found = source.files()
    found.fact_cache = FileFactCache.read(context.store, found.uri)
    tables = read_source(source, told, files=found)
    inspection = inspect_files(found, tables.images, progress=told)
    for bar in shown.values():
        bar.close()
    sides = official_splits(tables.images)
    leaking = sorted(key for key, names in sides.items() if len(names) > 1)
    named = {
        "images.parquet": tables.images,
        "lesions.parquet": tables.lesions,
        "rejects.parquet": tables.rejects,
    }
    digests = [(n, hashlib.sha256(to_parquet(table)).hexdigest()) for n, table in named.items()]
    config = {"adapter": context.recipe.source.adapter}
    manifest = Manifest(
        kind=TABLES,
        id=content_id(TABLES, INDEX_REVISION, config, digests),
        revision=INDEX_REVISION,
        config=config,
        files=(),
        counts={
            "images": len(tables.images),
            "views": int(tables.images["view_id"].nunique()),
            "patients": int(tables.images["patient_key"].nunique()),
            "lesions": len(tables.lesions),
            "rejects": len(tables.rejects),
            "leaking_patients": len(leaking),
        },
        facts={"leaking_patients": leaking, "source": tables.facts},
    )
    files = [put_table(context.store, manifest.folder, n, table) for n, table in named.items()]
    page = audit_page(
        tables.images, tables.lesions, tables.rejects, inspection, source=source.adapter
    )
    found.fact_cache.write(context.store, found.uri)
    files.append(put_bytes(context.store, manifest.folder, "audit.html", page.encode()))
    return publish(context.store, manifest.model_copy(update={"files": tuple(files)}))


def _listing(source: SourceConfig, files: SourceFiles) -> str:
    """Digest of how and what is read: names, sizes and times of the files, or entity tags.

    As long as it is equal, so are the tables.
    """
    settings = source.model_dump(mode="json", exclude={"root", "tables"})
    key = site_key_state() if get_adapter(source.adapter).needs_site_key else ""
    told = json.dumps([INDEX_REVISION, settings, key], sort_keys=True)
    digest = hashlib.sha256(f"{told}\n".encode())
    for place in [files] if source.tables is None else [files, SourceFiles.open(source.tables)]:
        digest.update(f"{place.uri}\n".encode())
        for entry in place.entries.values():
            digest.update(f"{entry.key}\t{entry.size}\t{entry.version}\n".encode())
    # What `tables` names can be one file as well as a folder.
    folder, _, name = (source.tables or "").rpartition("/")
    if name and (one := SourceFiles.open(folder or ".").entry(name)) is not None:
        digest.update(f"{one.sha256}\t{one.version}\n".encode())
    return digest.hexdigest()[:32]


@step("convert")
def convert(context: StepContext, tables: Manifest, partition: str = "") -> Manifest:
    """Convert the mammograms to image records; with a partition `I/N`, only that part of it."""
    context.partition = Partition.parse(partition) if partition else None
    from mammo_core.ingest.convert import KIND, convert_id

    recipe = context.recipe
    images = read_table(context.store, tables, "images.parquet")
    lesions = read_table(context.store, tables, "lesions.parquet")

    def make() -> Manifest:
        from mammo_core.ingest import convert as run
        from mammo_core.ingest import convert_partition

        work = run
        if context.partition is not None:
            work = partial(convert_partition, partition=context.partition)
        return work(
            context.store,
            images,
            lesions,
            root=recipe.source.files().uri,
            config=recipe.convert,
            runner=recipe.runner,
            lineage={"tables": tables.id},
        )

    id = convert_id(recipe.convert, images, lesions)
    manifest = context.find_or_make(KIND, id, make)
    if "planned" not in manifest.counts:  # a partition: the whole is judged when it is published
        return manifest
    rejected = manifest.counts["rejected_images"] + manifest.counts["rejected_lesions"]
    context.check_rejects(
        rejected,
        manifest.counts["planned"] + manifest.counts["lesions"],
        "images and lesions",
        f"{manifest.folder}/rejects.parquet",
    )
    return manifest


@step("publish-features")
def publish_features(context: StepContext, tables: Manifest, images: Manifest) -> Manifest:
    """Publish labels, splits and statistics to the feature store, and the frame of this run."""
    from mammo_core.features.locations import record_locations
    from mammo_core.features.publish import FeatureTables, find_frame, publish_frame
    from mammo_core.sources import assign

    recipe = context.recipe
    split = recipe.split.model_dump(mode="json")
    assignment = content_id("splits", 1, split, [(tables.kind, tables.id)])
    table = read_table(context.store, tables, "images.parquet")
    statistics = read_table(context.store, images, "statistics.parquet")
    # Patients with a rejected image stay where they are; the rejected image has no record.
    result = assign(table, recipe.split)
    features = FeatureTables(
        images=table[table["image_id"].isin(set(statistics["image_id"]))],
        lesions=read_table(context.store, tables, "lesions.parquet"),
        statistics=statistics,
        splits=dict(zip(result.images["image_id"], result.images["split"], strict=True)),
        patients=result.patients,
        assignment_id=assignment,
        dataset_id=images.id,
        facts={"split": split, "leaking_patients": result.leaking},
        shuffle_labels=recipe.shuffle_labels,
        seed=recipe.seed,
        inputs={
            "tables": tables.id,
            "images": images.id,
            "assignment": assignment,
        },
        intensity=recipe.intensity,
        locations=record_locations(context.store, images),
    )
    found = find_frame(context.store, features, recipe.as_of)
    if found is not None:
        context.found = True
        context.say(f"found {found.folder}")
    else:
        context.say("publishing features")
        found = publish_frame(context.store, features, recipe.as_of)
        _bring_online(context, features.folder)
    context.facts = {"splits": found.facts["splits"], "mean": found.facts["mean"]}
    # Every training takes its frame from here, experiments as well as pipelines.
    for uri in starts_of(recipe):
        require_unseen_test_patients(context, found, uri, "start package")
    return found


def _bring_online(context: StepContext, folder: str) -> None:
    """Where a Redis server is configured, it gets the newest rows; no training waits for it."""
    from mammo_core.features import MAIN
    from mammo_core.features.online import apply, redis_of

    if folder != MAIN or redis_of(os.environ) is None:
        return
    try:
        done = apply(context.store, folder)
    except StoreError as error:
        context.say(f"warning: the newest features are not online: {error}")
    else:
        context.say(f"{sum(done.views.values())} keys are online: {done.online}")


@step("sample")
def sample(context: StepContext, images: Manifest, partition: str = "") -> Manifest:
    """Cut the patches of the image records; with a partition `I/N`, only that part of it."""
    context.partition = Partition.parse(partition) if partition else None
    from mammo_core.ingest.sample import KIND, sample_id

    recipe = context.recipe

    def make() -> Manifest:
        from mammo_core.ingest import sample as run
        from mammo_core.ingest import sample_partition

        work = run
        if context.partition is not None:
            work = partial(sample_partition, partition=context.partition)
        return work(
            context.store,
            images,
            config=recipe.sampling,
            seed=recipe.seed,
            runner=recipe.runner,
        )

    id = sample_id(recipe.sampling, recipe.seed, images)
    manifest = context.find_or_make(KIND, id, make)
    if "patches" not in manifest.counts:  # a partition
        return manifest
    # Fewer patches of a lesion than asked is worth a row in the table, not a failed step.
    context.rejects += manifest.counts["rejected_lesions"] + manifest.counts["rejected_images"]
    return manifest


def rejects_of(context: StepContext, *manifests: Manifest) -> list[dict[str, Any]]:
    """The rows of the rejects tables of several outputs, in their order."""
    rows: list[dict[str, Any]] = []
    for manifest in manifests:
        table = read_table(context.store, manifest, "rejects.parquet")
        rows += [
            {str(key): value for key, value in row.items()} for row in table.to_dict("records")
        ]
    return rows
