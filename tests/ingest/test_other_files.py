"""Lesions of all files of a view: they fit where the files show the same picture."""

import numpy as np
import pytest

from mammo_core.datasets import ImageRecord
from mammo_core.datasets.shards import read_shard
from mammo_core.datasets.tables import read_table
from mammo_core.imaging.picture_digest import likeness_in_place, picture_digest, texture_of
from mammo_core.ingest import other_files, sample, sample_id, view_ids
from mammo_core.ingest.runner import RunnerConfig
from mammo_core.sampling import SamplingConfig
from mammo_core.sampling.overlap import OverlapTable
from mammo_core.store import open_store
from tests.support.ingest import Source, convert_tables

RUNNER = RunnerConfig(workers=1)
CONFIG = SamplingConfig(
    patch_size=24, lesion_patches=1, background_patches=12, hard_negatives=0, background_overlap=0
)


@pytest.fixture(scope="module")
def converted(two_tables, tmp_path_factory):
    store = open_store(str(tmp_path_factory.mktemp("store")))
    return store, convert_tables(store, two_tables)


@pytest.fixture(scope="module")
def others(two_tables, converted):
    return other_files(*converted, view_ids(two_tables.images))


def records_of(store, images):
    records = (
        ImageRecord.from_bytes(data)
        for file in images.files_like("shard-")
        for data in read_shard(store, file)
    )
    return {record.image_id: record for record in records}


def test_the_two_files_of_a_view_have_each_others_lesions(two_tables, others):
    views = two_tables.images.groupby("view_id")["image_id"].apply(sorted)
    expected = {}
    for one, two in views[views.map(len) == 2]:
        expected |= {one: (two,), two: (one,)}
    # An identical file, and the same film scanned again.
    assert others == expected and list(others) == sorted(others)


def test_files_without_lesions_are_no_other_files(two_tables, tmp_path):
    lesions = two_tables.lesions[two_tables.lesions["lesion_type"] == "mass"]
    source = Source(two_tables.root, two_tables.images, lesions, two_tables.rejects)
    store = open_store(str(tmp_path))
    fitting = other_files(store, convert_tables(store, source), view_ids(two_tables.images))
    with_masses = set(lesions["image_id"])
    assert fitting and {id for ids in fitting.values() for id in ids} <= with_masses
    assert not set(fitting) & with_masses


def test_another_exposure_of_the_same_size_does_not_fit(two_tables, converted):
    """Views of one breast that a table calls the same: CC and MLO show it in other places."""
    rows = two_tables.images
    views = dict(zip(rows["image_id"], rows["patient_key"] + rows["laterality"], strict=True))
    names = dict(zip(rows["image_id"], rows["view_id"], strict=True))
    pairs = [(one, two) for one, ids in other_files(*converted, views).items() for two in ids]
    assert pairs and all(names[one] == names[two] for one, two in pairs)


def test_a_moved_picture_is_not_in_place():
    random = np.random.default_rng(1)
    noise = random.integers(0, 2**16, (24, 18)).astype(np.uint16)
    picture = noise.repeat(16, axis=0).repeat(16, axis=1)
    noisy = np.clip(picture + random.normal(0, 2000, picture.shape), 0, 65535).astype(np.uint16)

    def texture(pixels):
        return texture_of(np.frombuffer(picture_digest(pixels), np.uint8))

    assert likeness_in_place(texture(picture), texture(noisy)) > 0.98
    assert likeness_in_place(texture(picture), texture(noisy[:, ::-1].copy())) < 0.5
    moved = np.roll(noisy, 12, axis=1)  # a 24th of its width
    assert likeness_in_place(texture(picture), texture(moved)) < 0.9
    flat = texture(np.full(picture.shape, 100, np.uint16))
    assert likeness_in_place(texture(picture), flat) == 0


def test_no_background_patch_shows_a_lesion_of_the_other_file(converted, others):
    store, images = converted
    records = records_of(store, images)

    def covered(manifest):
        """Pixels of lesions of the other file in patches without lesion."""
        table = read_table(store, manifest, "patches.parquet")
        total = 0
        for row in table[table["kind"] != "lesion"].itertuples():
            for id in others.get(row.image_id, ()):
                for lesion in records[id].lesions:
                    center = np.array([[row.row, row.column]])
                    total += int(OverlapTable(lesion.mask, 24).covered(center)[0])
        return total

    # Each file by itself has patches of "background" that show the other's lesion.
    assert covered(sample(store, images, CONFIG, 1, RUNNER)) > 0
    assert covered(sample(store, images, CONFIG, 1, RUNNER, others)) == 0


def test_the_lesions_of_the_other_file_have_their_patches_there_only(converted, others):
    store, images = converted
    table = read_table(store, sample(store, images, CONFIG, 1, RUNNER, others), "patches.parquet")
    lesions = table[table["kind"] == "lesion"]
    assert lesions["lesion_id"].is_unique


def test_ids_of_views_with_one_file_stay(converted, others):
    _, images = converted
    assert sample_id(CONFIG, 1, images, {}) == sample_id(CONFIG, 1, images)
    reversed_others = dict(reversed(others.items()))
    assert sample_id(CONFIG, 1, images, others) == sample_id(CONFIG, 1, images, reversed_others)
    assert sample_id(CONFIG, 1, images, others) != sample_id(CONFIG, 1, images)


def test_a_file_that_joins_a_view_renews_the_patches_of_the_others(two_tables, others, tmp_path):
    """Grown or made at once: the patches are the same, record by record."""
    late = sorted(others)[0]
    kept = two_tables.images["image_id"] != late
    before = Source(
        two_tables.root,
        two_tables.images[kept],
        two_tables.lesions[two_tables.lesions["image_id"] != late],
        two_tables.rejects,
    )
    tables = {}
    for name, sources in (("grown", [before, two_tables]), ("at once", [two_tables])):
        store = open_store(str(tmp_path / name))
        for source in sources:
            images = convert_tables(store, source)
            fitting = other_files(store, images, view_ids(source.images))
            patches = sample(store, images, CONFIG, 1, RUNNER, fitting)
        table = read_table(store, patches, "patches.parquet")
        tables[name] = (patches.id, table.drop(columns=["shard"], errors="ignore"))
    assert tables["grown"][0] == tables["at once"][0]
    assert tables["grown"][1].equals(tables["at once"][1])
