"""`convert`: what it publishes, what it rejects, what makes it fail."""

import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from mammo_core.datasets import ImageRecord
from mammo_core.datasets.tables import read_table
from mammo_core.datasets.tfrecord import read_records
from mammo_core.dicom import read_image
from mammo_core.errors import SourceError, StoreError
from mammo_core.imaging import to_full_range
from mammo_core.ingest.convert import ConvertConfig, convert_id
from mammo_core.ingest.kinds import IMAGE_DATASET
from mammo_core.preprocessing import Geometry
from mammo_core.store import open_store
from tests.support.ingest import Source, convert_tables, digests, read_tables, without_attempts
from tests.support.processes import start_child


def records_of(store, manifest):
    return [
        ImageRecord.from_bytes(data)
        for file in manifest.files_like("shard-")
        for data in read_records(store.fetch(file.key))
    ]


def test_every_image_becomes_a_record_with_its_lesions(store, phantom_tables):
    manifest = convert_tables(store, phantom_tables)
    images, lesions = phantom_tables.images, phantom_tables.lesions
    assert manifest.counts == {
        "images": len(images),
        "planned": len(images),
        "lesions": len(lesions),
        "rejected_images": 0,
        "rejected_lesions": 0,
    }
    assert manifest.facts["geometry"]["height"] == 96 and manifest.facts["bit_depth"] == 16
    assert IMAGE_DATASET.find(store, manifest.id) == manifest
    records = records_of(store, manifest)
    assert [record.image_id for record in records] == sorted(images["image_id"])
    masks = Counter(lesions["image_id"])
    paths = images.set_index("image_id")["path"]
    geometry = Geometry(height=96, width=72)
    for record in records:
        assert len(record.lesions) == masks[record.image_id]
        assert all(lesion.mask.any() for lesion in record.lesions)
        image = read_image(phantom_tables.root / paths[record.image_id])
        full = to_full_range(image.pixels, image.facts.bits_stored)
        assert np.array_equal(record.pixels, geometry.apply(full))
        assert (record.source_rows, record.source_columns) == image.pixels.shape


def test_statistics_describe_the_records(file_store, phantom_tables):
    manifest = convert_tables(file_store, phantom_tables)
    table = read_table(file_store, manifest, "statistics.parquet").set_index("image_id")
    for record in records_of(file_store, manifest):
        row = table.loc[record.image_id]
        assert row["mean"] == pytest.approx(record.pixels.mean())
        assert row["standard_deviation"] == pytest.approx(record.pixels.std())
        assert (row["minimum"], row["maximum"]) == (record.pixels.min(), record.pixels.max())
        assert row["lesions"] == len(record.lesions)


@pytest.mark.parametrize("resize", ["forced", "height", "pad"])
def test_masks_have_the_size_of_their_image(file_store, phantom_tables, resize):
    manifest = convert_tables(file_store, phantom_tables, height=90, width=80, resize=resize)
    for record in records_of(file_store, manifest):
        assert {lesion.mask.shape for lesion in record.lesions} <= {record.pixels.shape}


def test_workers_and_shard_size_change_neither_bytes_nor_id(tmp_path, phantom_tables):
    # 432 x 324 so that a megabyte holds three records, and there are several shards.
    stores = {name: open_store(str(tmp_path / name)) for name in ("one", "two", "large")}
    one = convert_tables(stores["one"], phantom_tables, height=432, width=324)
    two = convert_tables(stores["two"], phantom_tables, height=432, width=324, workers=2)
    assert len(one.files_like("shard-")) > 2 and without_attempts(one) == without_attempts(two)
    assert digests(stores["one"], "") == digests(stores["two"], "")
    large = convert_tables(stores["large"], phantom_tables, height=432, width=324, shard_mb=100)
    assert large.id == one.id and len(large.files_like("shard-")) == 1
    contents = [
        [record.to_bytes() for record in records_of(stores[name], manifest)]
        for name, manifest in (("one", one), ("large", large))
    ]
    assert contents[0] == contents[1]
    shuffled = replace(
        phantom_tables,
        images=phantom_tables.images.sample(frac=1, random_state=1),
        lesions=phantom_tables.lesions.sample(frac=1, random_state=1),
    )
    config = ConvertConfig(geometry=Geometry(height=432, width=324))
    assert convert_id(config, shuffled.images, shuffled.lesions) == one.id


def test_the_id_depends_on_images_masks_and_geometry(phantom_tables):
    images, lesions = phantom_tables.images, phantom_tables.lesions
    config = ConvertConfig(geometry=Geometry(height=96, width=72))
    other = ConvertConfig(geometry=Geometry(height=96, width=72, interpolation="cubic"))
    changed = lesions.assign(mask_sha256=["0" * 64, *lesions["mask_sha256"][1:]])
    relabeled = lesions.assign(pathology="BENIGN", malignant=0)
    same = convert_id(config, images, lesions)
    assert same == convert_id(config, images, relabeled)  # labels are features
    ids = {
        same,
        convert_id(other, images, lesions),
        convert_id(config, images[1:], lesions),
        convert_id(config, images, lesions[1:]),
        convert_id(config, images, changed),
    }
    assert len(ids) == 5


def test_broken_files_are_rejects_and_the_rest_is_published(file_store, tmp_path, changeable):
    """They were broken before they were indexed, so every run rejects them."""
    intact = changeable.images["path"].iloc[0]
    image, mask = changeable.images["path"].iloc[1], changeable.lesions["mask_path"].iloc[-1]
    kept = changeable.lesions["image_id"].iloc[-1]
    assert kept != changeable.images["image_id"].iloc[1]
    for name in (image, mask):
        path = changeable.root / name
        path.write_bytes(path.read_bytes()[:-600])  # complete headers, truncated pixels
    source = read_tables(changeable.root)
    manifest = convert_tables(file_store, source)
    rejects = read_table(file_store, manifest, "rejects.parquet")
    everything = {**dict(zip(source.rejects["item"], source.rejects["reason"], strict=True))}
    everything.update(zip(rejects["item"], rejects["reason"], strict=True))
    assert image in everything
    assert any(mask in reason or mask == item for item, reason in everything.items())
    for item, reason in everything.items():
        assert (
            str(tmp_path) not in item + reason
        )  # names are relative to the tree, not paths of this machine
    assert manifest.counts["images"] == len(changeable.images) - 1
    assert manifest.counts["planned"] == len(source.images)
    assert manifest.counts["rejected_images"] == len(source.images) - manifest.counts["images"]
    assert set(rejects["step"]) <= {"convert"} and set(rejects["kind"]) <= {"image", "lesion"}
    ids = set(changeable.images.loc[changeable.images["path"] == intact, "image_id"])
    assert ids <= {record.image_id for record in records_of(file_store, manifest)}


def test_if_every_image_is_broken_only_tables_are_published(file_store, tmp_path):
    name = "broken.dcm"
    (tmp_path / name).write_bytes(b"not a picture")
    source = _source_of(tmp_path, [name])
    manifest = convert_tables(file_store, source)
    assert manifest.counts["images"] == 0 and manifest.counts["rejected_images"] == 1
    assert manifest.files_like("shard-") == []
    assert list(read_table(file_store, manifest, "statistics.parquet")["image_id"]) == []
    assert not [key for key in file_store.list("") if "shard-" in key]


def test_no_images_give_an_empty_dataset(file_store, tmp_path):
    manifest = convert_tables(file_store, _source_of(tmp_path, []))
    assert manifest.counts["images"] == manifest.counts["planned"] == 0


@pytest.mark.parametrize("what", ["image", "mask"])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_file_that_changed_after_it_was_indexed_fails_the_step(file_store, changeable, what, how):
    name = (
        changeable.images["path"].iloc[2]
        if what == "image"
        else changeable.lesions["mask_path"].iloc[0]
    )
    path = changeable.root / name
    path.unlink() if how == "gone" else path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(SourceError) as caught:
        convert_tables(file_store, changeable)
    # All parts of the error survive Beam.
    assert caught.value.problem == f"The file {name} changed since it was indexed"
    assert caught.value.expected.startswith("SHA-256 ")
    assert caught.value.received.startswith("no such file" if how == "gone" else "SHA-256 ")
    assert "run the same command again" in caught.value.hint
    assert not [key for key in file_store.list("") if key.endswith("manifest.json")]


def test_a_disk_error_is_never_a_reject(file_store, changeable):
    path = changeable.root / changeable.images["path"].iloc[0]
    path.unlink()
    path.mkdir()  # reading it is an OSError, even for root
    with pytest.raises(StoreError, match="cannot be read"):
        convert_tables(file_store, changeable)


def test_a_store_that_cannot_be_written_is_an_error(tmp_path, phantom_tables):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Not a directory"):
        convert_tables(open_store(str(tmp_path / "file" / "store")), phantom_tables)


_KILLED = """
import pickle, sys
from mammo_core.ingest.convert import ConvertConfig, convert
from mammo_core.ingest.runner import RunnerConfig
from mammo_core.preprocessing import Geometry
from mammo_core.store import open_store
images, lesions, root = pickle.load(open(sys.argv[2], "rb"))
convert(open_store(sys.argv[1]), images, lesions, root=root, lineage={"tables": "t"},
    config=ConvertConfig(geometry=Geometry(height=432, width=324), shard_mb=1),
    runner=RunnerConfig(workers=1))
"""


def test_a_killed_conversion_can_be_repeated(tmp_path, changeable):
    import pickle

    # The last image is a pipe without a writer: the work blocks there.
    last = changeable.images.sort_values("image_id")["path"].iloc[-1]
    path = changeable.root / last
    content = path.read_bytes()
    path.unlink()
    os.mkfifo(path)
    tables_file = tmp_path / "tables"
    tables_file.write_bytes(pickle.dumps((changeable.images, changeable.lesions, changeable.root)))
    store = open_store(str(tmp_path / "store"))
    command = [sys.executable, "-c", _KILLED, store.uri, str(tables_file)]
    with start_child(command, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not list(store.list("")) and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
    left = list(store.list(""))
    assert left and not [key for key in left if key.endswith("manifest.json")]
    path.unlink()
    path.write_bytes(content)
    convert_tables(store, changeable, height=432, width=324)
    undisturbed = open_store(str(tmp_path / "undisturbed"))
    convert_tables(undisturbed, changeable, height=432, width=324)
    assert digests(store, "") == digests(undisturbed, "")


def _source_of(root, names):
    import hashlib

    import pandas as pd

    rows = [(hashlib.sha256((root / name).read_bytes()).hexdigest(), name) for name in names]
    images = pd.DataFrame(rows, columns=["image_id", "path"])
    lesions = pd.DataFrame(columns=["lesion_id", "image_id", "mask_path", "mask_sha256"])
    return Source(root, images, lesions, pd.DataFrame())
