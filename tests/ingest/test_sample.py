"""`sample`: what it publishes, and under which id."""

import io
from collections import Counter

import pytest

from mammo_core.datasets import PatchRecord
from mammo_core.datasets.tables import read_table
from mammo_core.datasets.tfrecord import read_records
from mammo_core.errors import MammoError
from mammo_core.ingest.runner import RunnerConfig
from mammo_core.ingest.sample import sample, sample_id
from mammo_core.sampling import SamplingConfig
from mammo_core.store import open_store
from tests.support.ingest import convert_tables, digests

CONFIG = SamplingConfig(patch_size=24, lesion_patches=4, background_patches=3, hard_negatives=1)


def run(store, images, config=CONFIG, seed=1, workers=1):
    return sample(store, images, config, seed, RunnerConfig(workers=workers))


def patches_of(store, manifest):
    return [
        PatchRecord.from_bytes(data)
        for file in manifest.files_like("shard-")
        for data in read_records(store.fetch(file.key))
    ]


def test_the_table_describes_the_records(store, phantom_tables):
    images = convert_tables(store, phantom_tables)
    manifest = run(store, images)
    table = read_table(store, manifest, "patches.parquet")
    patches = patches_of(store, manifest)
    ids = [patch.patch_id for patch in patches]
    assert ids == sorted(set(ids)) == list(table["patch_id"])
    for patch, row in zip(patches, table.itertuples(), strict=True):
        assert (patch.image_id, patch.lesion_id, patch.kind) == (
            row.image_id,
            row.lesion_id,
            row.kind,
        )
        assert (patch.row, patch.column) == (row.row, row.column)
        assert patch.overlap == pytest.approx(row.overlap) and patch.pixels.shape == (24, 24)
    assert set(table["lesion_id"]) - {""} == set(phantom_tables.lesions["lesion_id"])
    kinds = Counter(table["kind"])
    lesions, count = len(phantom_tables.lesions), len(phantom_tables.images)
    assert kinds["lesion"] == 4 * lesions
    assert kinds["background"] + kinds["hard_negative"] == 3 * count
    assert manifest.counts == {
        "patches": len(ids),
        "rejected_images": 0,
        "rejected_lesions": 0,
        **kinds,
    }
    assert manifest.lineage == {"tables": "t", "images": images.id}
    assert manifest.facts["patch_size"] == 24 and manifest.facts["bit_depth"] == 16


def test_workers_change_no_bytes(tmp_path, phantom_tables):
    contents = []
    for workers in (1, 2):
        store = open_store(str(tmp_path / str(workers)))
        images = convert_tables(store, phantom_tables, height=432, width=324)
        assert len(run(store, images, workers=workers).files_like("shard-")) > 2
        contents.append(digests(store, ""))
    assert contents[0] == contents[1]


def test_the_patches_of_an_image_do_not_depend_on_the_others(tmp_path, phantom_tables):
    from dataclasses import replace

    few = replace(phantom_tables, images=phantom_tables.images[:3])
    contents = []
    for name, source in (("all", phantom_tables), ("few", few)):
        store = open_store(str(tmp_path / name))
        patches = patches_of(store, run(store, convert_tables(store, source)))
        chosen = set(few.images["image_id"])
        contents.append([patch.to_bytes() for patch in patches if patch.image_id in chosen])
    assert contents[0] == contents[1] and contents[0]


def test_the_id_depends_on_settings_seed_and_images(file_store, phantom_tables):
    images = convert_tables(file_store, phantom_tables)
    other = images.model_copy(update={"id": "other"})
    ids = {
        sample_id(CONFIG, 1, images),
        sample_id(CONFIG, 2, images),
        sample_id(CONFIG.model_copy(update={"near_lesion": 1}), 1, images),
        sample_id(CONFIG, 1, other),
    }
    assert len(ids) == 4


def test_images_with_too_few_patches_are_listed(file_store, phantom_tables):
    images = convert_tables(file_store, phantom_tables)
    # A patch is larger than the image: no background patch is 90% breast.
    config = SamplingConfig(
        patch_size=128, lesion_patches=1, background_patches=2, breast_share=0.9
    )
    manifest = run(file_store, images, config)
    rejects = read_table(file_store, manifest, "rejects.parquet")
    assert set(rejects["item"]) == set(phantom_tables.images["image_id"])
    assert set(rejects["kind"]) == {"image"} and set(rejects["step"]) == {"sample"}
    assert manifest.counts["rejected_images"] == len(rejects)
    assert manifest.counts["patches"] == manifest.counts["lesion"] == len(phantom_tables.lesions)


def test_no_patches_give_tables_without_rows(file_store, phantom_tables):
    from dataclasses import replace

    images = convert_tables(file_store, replace(phantom_tables, lesions=phantom_tables.lesions[:0]))
    manifest = run(file_store, images, CONFIG.model_copy(update={"background_patches": 0}))
    assert manifest.counts["patches"] == 0 and manifest.files_like("shard-") == []
    assert list(read_table(file_store, manifest, "patches.parquet")["patch_id"]) == []


def test_the_error_of_a_flipped_byte_names_the_shard(store, phantom_tables):
    images = convert_tables(store, phantom_tables)
    key = images.files_like("shard-")[0].key
    data = bytearray(store.read(key))
    data[len(data) // 2] ^= 1
    if store.uri.startswith("file:"):
        (store.root / key).write_bytes(data)
    else:
        store._client.put_object(
            "mammo-tests",
            store._name(key),
            io.BytesIO(bytes(data)),
            len(data),
            metadata={"sha256": images.files_like("shard-")[0].sha256},
        )
    with pytest.raises(MammoError, match="damaged") as caught:
        run(store, images)
    assert key in str(caught.value)
    left = list(store.list("datasets/patches"))
    assert not [key for key in left if key.endswith(("manifest.json", ".tfrecord"))]
