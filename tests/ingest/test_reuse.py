"""New images make new shards; the records of the others are reused without being read."""

import shutil
from dataclasses import replace

import pytest

from mammo_core.datasets import ImageRecord, PatchRecord
from mammo_core.datasets.readers import RecordSource
from mammo_core.datasets.shards import read_shard
from mammo_core.datasets.tables import read_table
from mammo_core.errors import RecordError
from mammo_core.ingest import (
    ConvertConfig,
    Partition,
    RunnerConfig,
    convert,
    convert_partition,
    sample,
)
from mammo_core.preprocessing import Geometry
from mammo_core.sampling import SamplingConfig
from mammo_core.store import open_store
from tests.support.ingest import read_tables

SAMPLING = SamplingConfig(patch_size=24, lesion_patches=2, background_patches=2)
RUNNER = RunnerConfig(workers=1)
CONFIG = ConvertConfig(geometry=Geometry(height=432, width=324), shard_mb=1)


def convert_source(store, source, config=CONFIG):
    options = {"root": source.root, "config": config, "runner": RUNNER}
    return convert(store, source.images, source.lesions, lineage={"tables": "t"}, **options)


def sample_images(store, images, config=SAMPLING):
    return sample(store, images, config, 1, RUNNER)


def records(store, manifest):
    kind = ImageRecord if manifest.kind == "datasets/images" else PatchRecord
    contents = [data for file in manifest.files_like("shard-") for data in read_shard(store, file)]
    name = "image_id" if kind is ImageRecord else "patch_id"
    ids = [getattr(kind.from_bytes(data), name) for data in contents]
    assert len(set(ids)) == len(ids)
    return dict(zip(ids, contents, strict=True))


def tables(store, manifest):
    names = {"statistics.parquet", "patches.parquet", "rejects.parquet"}
    return {f.name: f.sha256 for f in manifest.files if f.name in names}


def subset(source, images):
    """The source with only some of its images."""
    inside = source.lesions["image_id"].isin(set(images["image_id"]))
    return replace(source, images=images, lesions=source.lesions[inside])


@pytest.fixture
def few(changeable):
    """All but two of the images, by id so that shards hold both kinds."""
    order = changeable.images.sort_values("image_id")
    return subset(changeable, order.drop(order.index[[1, 6]]))


@pytest.fixture
def from_nothing(tmp_path, phantom_tables):
    """All images converted and sampled without reuse: store, images, patches."""
    store = open_store(str(tmp_path / "nothing"))
    images = convert_source(store, phantom_tables)
    return store, images, sample_images(store, images)


def remove_files(source, images):
    for row in images.itertuples():
        (source.root / row.path).unlink()
    masks = source.lesions["image_id"].isin(set(images["image_id"]))
    for name in source.lesions.loc[masks, "mask_path"]:
        (source.root / name).unlink()


@pytest.mark.parametrize("partitions", [0, 2])
def test_new_images_make_new_shards(store, changeable, few, from_nothing, partitions):
    plain, complete, _ = from_nothing
    base = convert_source(store, few)
    remove_files(few, few.images)  # reading an old file fails
    for number in range(partitions):
        options = {"root": changeable.root, "config": CONFIG, "runner": RUNNER, "lineage": {}}
        partition = Partition(number, partitions)
        convert_partition(store, changeable.images, changeable.lesions, partition, **options)
    manifest = convert_source(store, changeable)
    assert manifest.id == complete.id and manifest.counts == complete.counts
    assert records(store, manifest) == records(plain, complete)
    assert tables(store, manifest) == tables(plain, complete)
    old = base.files_like("shard-")
    assert manifest.files_like("shard-")[: len(old)] == old
    new = manifest.files_like("shard-")[len(old) :]
    assert [file.count for file in new] == [2] and new[0].key.startswith(manifest.folder)
    assert not [key for key in store.list("") if "/notes/" in key]


def test_patches_of_new_images_only(file_store, changeable, few, from_nothing):
    plain, _, patches = from_nothing
    base = convert_source(file_store, few)
    sample_images(file_store, base)
    manifest = convert_source(file_store, changeable)
    for file in base.files_like("shard-"):  # reading an old shard fails
        (file_store.root / file.key).unlink()
    sampled = sample_images(file_store, manifest)
    assert sampled.id == patches.id and sampled.counts == patches.counts
    assert records(file_store, sampled) == records(plain, patches)
    assert tables(file_store, sampled) == tables(plain, patches)


def test_removed_and_changed_sources_are_excluded(file_store, tmp_path, changeable):
    base = convert_source(file_store, changeable)
    sample_images(file_store, base)
    order = changeable.images.sort_values("image_id")
    with_mask = changeable.lesions["image_id"].iloc[0]
    removed = order[order["image_id"] != with_mask].iloc[[2]]
    changed = changeable.lesions[changeable.lesions["image_id"] != with_mask]
    kept = subset(replace(changeable, lesions=changed), order.drop(removed.index))
    manifest = convert_source(file_store, kept)
    excluded = {id for file in manifest.files for id in file.excluded}
    assert excluded == {removed["image_id"].iloc[0], with_mask}
    plain = open_store(str(tmp_path / "plain"))
    complete = convert_source(plain, kept)
    assert manifest.id == complete.id and manifest.counts == complete.counts
    assert records(file_store, manifest) == records(plain, complete)
    assert not ImageRecord.from_bytes(records(file_store, manifest)[with_mask]).lesions
    patches, plain_patches = sample_images(file_store, manifest), sample_images(plain, complete)
    assert patches.id == plain_patches.id
    assert records(file_store, patches) == records(plain, plain_patches)
    assert tables(file_store, patches) == tables(plain, plain_patches)
    # Training reads each record once, the current one.
    for store, dataset in ((file_store, manifest), (plain, complete)):
        labels = dict.fromkeys(kept.images["image_id"], 1)
        for memory in (2**30, 0):
            source = RecordSource(
                store, dataset, labels, classes=2, batch_size=4, memory_bytes=memory
            )
            ids = [id for batch in source.batches(0) for id in batch.ids]
            assert sorted(ids) == sorted(labels)
    third = convert_source(file_store, subset(changeable, order[:-1]))
    assert records(file_store, third).keys() == set(order["image_id"][:-1])


def test_records_are_reused_over_several_generations(file_store, changeable, from_nothing):
    plain, complete, patches = from_nothing
    order = changeable.images.sort_values("image_id")
    for size in (len(order) - 4, len(order) - 2, len(order)):
        manifest = convert_source(file_store, subset(changeable, order[:size]))
        sampled = sample_images(file_store, manifest)
    assert (manifest.id, sampled.id) == (complete.id, patches.id)
    assert records(file_store, manifest) == records(plain, complete)
    assert records(file_store, sampled) == records(plain, patches)
    assert len({file.key.split("/")[2] for file in manifest.files_like("shard-")}) == 3


def test_rejects_are_reused_while_their_path_is_correct(file_store, changeable):
    broken = changeable.images["path"].iloc[1]
    path = changeable.root / broken
    path.write_bytes(path.read_bytes()[:-600])
    source = read_tables(changeable.root)
    order = source.images.sort_values("image_id")
    last = order[order["path"] != broken].iloc[[-1]]
    first = convert_source(file_store, subset(source, order.drop(last.index)))
    complete = convert_source(file_store, source)
    rejected = read_table(file_store, complete, "rejects.parquet")
    assert list(rejected["item"]) == [broken]
    assert complete.counts["images"] == first.counts["images"] + 1
    moved = path.with_name("moved.dcm")
    shutil.move(path, moved)
    name = moved.relative_to(changeable.root).as_posix()
    images = source.images.assign(path=source.images["path"].replace({broken: name}))
    renamed = convert_source(file_store, subset(replace(source, images=images), images[:-1]))
    assert name in set(read_table(file_store, renamed, "rejects.parquet")["item"])


def test_only_a_dataset_that_fits_is_reused(file_store, changeable, few):
    complete = convert_source(file_store, changeable)
    other = CONFIG.model_copy(update={"geometry": Geometry(height=400, width=324)})
    assert (
        convert_source(file_store, few, other).files_like("shard-")[0].key.split("/")[2]
        != complete.id
    )
    # A few of many images: most records of the old shards would be excluded.
    small = convert_source(file_store, subset(changeable, changeable.images[:3]))
    assert {file.key.split("/")[2] for file in small.files} == {small.id}
    # Another size of shards does not make another conversion.
    larger = CONFIG.model_copy(update={"shard_mb": 2})
    fitting = convert_source(file_store, few, larger)
    assert {file.key.split("/")[2] for file in fitting.files_like("shard-")} == {complete.id}


@pytest.mark.parametrize("how", ["missing", "short"])
def test_a_lost_old_shard_is_an_error_before_anything_is_published(
    file_store, changeable, few, how
):
    file = convert_source(file_store, few).files_like("shard-")[0]
    path = file_store.root / file.key
    path.unlink() if how == "missing" else path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RecordError, match=file.key) as caught:
        convert_source(file_store, changeable)
    assert "store verify" in str(caught.value)
