"""`mammo store gc --compact` rewrites grown datasets as a conversion from nothing would."""

import json
import os
import time

from typer.testing import CliRunner

from mammo_core.cli.store import app
from mammo_core.datasets import Manifest, find, publish, shard_tables
from mammo_core.datasets.compaction import compact, needs_compaction
from mammo_core.datasets.shards import read_shard
from mammo_core.datasets.tables import read_table
from mammo_core.ingest import ConvertConfig, RunnerConfig, convert, sample
from mammo_core.preprocessing import Geometry
from mammo_core.sampling import SamplingConfig
from mammo_core.store import open_store

RUNNER = RunnerConfig(workers=1)
CONFIG = ConvertConfig(geometry=Geometry(height=432, width=324), shard_mb=1)
SAMPLING = SamplingConfig(patch_size=24, lesion_patches=2, background_patches=2)


def build(store, source, images):
    inside = source.lesions["image_id"].isin(set(images["image_id"]))
    options = {"root": source.root, "config": CONFIG, "runner": RUNNER, "lineage": {}}
    dataset = convert(store, images, source.lesions[inside], **options)
    return dataset, sample(store, dataset, SAMPLING, 1, RUNNER)


def records(store, manifest):
    return [data for file in manifest.files_like("shard-") for data in read_shard(store, file)]


def shards(manifest):
    return [(file.name, file.sha256, file.count) for file in manifest.files_like("shard-")]


def test_datasets_with_excluded_records_are_rewritten(store, tmp_path, phantom_tables):
    order = phantom_tables.images.sort_values("image_id")
    build(store, phantom_tables, order[3:])
    images, patches = build(store, phantom_tables, order.drop(order.index[[4]]))
    plain = open_store(str(tmp_path / "plain"))
    complete, expected_patches = build(plain, phantom_tables, order.drop(order.index[[4]]))
    assert needs_compaction(images) and needs_compaction(patches) and not needs_compaction(complete)
    assert compact(plain, complete) == complete
    compacted = compact(store, images)
    assert compacted == find(store, images.kind, images.id) and compacted.id == complete.id
    assert shards(compacted) == shards(complete)  # the same bytes in the same shards
    assert not needs_compaction(compacted)
    assert read_table(store, compacted, "items.parquet").equals(
        read_table(plain, complete, "items.parquet")
    )
    done = compact(store, patches)
    assert records(store, done) == records(plain, expected_patches)
    # Both can grow again.
    again, more = build(store, phantom_tables, order)
    assert (again.id, more.id) == tuple(
        dataset.id for dataset in build(plain, phantom_tables, order)
    )
    assert sorted(records(store, again)) == sorted(records(plain, find(plain, *ids(again))))
    assert sorted(records(store, more)) == sorted(records(plain, find(plain, *ids(more))))


def test_datasets_with_a_table_of_shards_are_rewritten(
    file_store, tmp_path, phantom_tables, monkeypatch
):
    monkeypatch.setattr(shard_tables, "MOST_SHARDS", 1)
    test_datasets_with_excluded_records_are_rewritten(file_store, tmp_path, phantom_tables)


def ids(manifest):
    return manifest.kind, manifest.id


def test_compaction_by_the_command_line(file_store, phantom_tables):
    order = phantom_tables.images.sort_values("image_id")
    old, _ = build(file_store, phantom_tables, order)
    images, patches = build(file_store, phantom_tables, order[1:])
    frame = Manifest(
        kind="frames",
        id="f" * 32,
        revision=1,
        config={},
        files=(),
        lineage={"images": images.id, "patches": patches.id},
    )
    publish(file_store, frame)

    def gc(*words):
        done = CliRunner().invoke(app, ["gc", file_store.uri, "--json", *words])
        assert done.exit_code == 0, done.exception
        return json.loads(done.output)

    report = gc("--compact")
    assert set(report["compacted"]) == {images.folder, patches.folder}
    assert find(file_store, images.kind, images.id) == images  # only reported
    gc("--compact", "--apply")
    compacted = find(file_store, images.kind, images.id)
    assert not needs_compaction(compacted) and find(file_store, old.kind, old.id) is None
    # Readers of the old shards have a day.
    assert len(records(file_store, images)) == len(order) - 1
    then = time.time() - 2 * 24 * 3600
    for key in file_store.list(""):
        os.utime(file_store.root / key, (then, then))
    gc("--apply")
    kept = {
        file.key for dataset in (images, patches) for file in find(file_store, *ids(dataset)).files
    }
    left = set(file_store.list("datasets"))
    assert left == kept | {images.key, patches.key}
