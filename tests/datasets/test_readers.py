"""Readers; the one file of these rooms' tests that imports TensorFlow."""

import numpy as np
import pytest

from mammo_core.datasets import ImageRecord, Manifest, PatchRecord, publish
from mammo_core.datasets.shards import write_shard
from mammo_core.errors import RecordError
from mammo_core.store import open_store

CLASSES = 3
MODES = pytest.mark.parametrize("memory_bytes", [2**30, 0], ids=["memory", "streaming"])


def _patch(number, side=8):
    pixels = np.full((side, side), number, np.uint16)
    pixels[0, 0] = 65535
    return PatchRecord(f"p{number:04d}", "i", "", "background", pixels, 0, 0, 0.0, 0.35)


def _publish(store, kind, id, shards):
    files = tuple(
        write_shard(store, f"{kind}/{id}", index, [record.to_bytes() for record in records])
        for index, records in enumerate(shards)
    )
    return publish(store, Manifest(kind=kind, id=id, revision=1, config={}, files=files))


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    """1200 patches in 12 shards."""
    store = open_store(str(tmp_path_factory.mktemp("readers")))
    shards = [[_patch(100 * shard + n) for n in range(100)] for shard in range(12)]
    return store, _publish(store, "datasets/patches", "many", shards)


def labels(numbers):
    return {f"p{number:04d}": number % CLASSES for number in numbers}


def source(patches, wanted, **options):
    from mammo_core.datasets.readers import RecordSource

    store, manifest = patches
    return RecordSource(
        store, manifest, wanted, classes=CLASSES, **{"batch_size": 32, "shuffle_seed": 5, **options}
    )


def order(found, epoch):
    return [name for batch in found.batches(epoch) for name in batch.ids]


@MODES
def test_every_labelled_record_comes_once_with_its_pixels_and_label(patches, memory_bytes):
    wanted = labels(range(0, 1200, 2))
    found = source(patches, wanted, memory_bytes=memory_bytes)
    assert found.size == 600 and found.class_counts == (200, 200, 200)
    for epoch in (0, 1):
        batches = list(found.batches(epoch))
        assert [len(batch.ids) for batch in batches] == [32] * 18 + [24]
        names = [name for batch in batches for name in batch.ids]
        assert sorted(names) == sorted(wanted)
        for batch in batches:
            assert batch.pixels.dtype == np.uint16 and batch.labels.dtype == np.int32
            numbers = [int(name[1:]) for name in batch.ids]
            assert batch.pixels[:, 3, 3].tolist() == numbers
            assert batch.pixels[:, 0, 0].tolist() == [65535] * len(numbers)
            assert batch.labels.tolist() == [number % CLASSES for number in numbers]


@MODES
def test_the_order_follows_epoch_and_seed_and_nothing_else(patches, memory_bytes):
    import tensorflow as tf

    wanted = labels(range(1200))
    found = source(patches, wanted, memory_bytes=memory_bytes)
    first, second = order(found, 0), order(found, 1)
    assert first != second != sorted(first) and sorted(first) == sorted(second)
    tf.random.set_seed(99)  # as keras.utils.set_random_seed does
    np.random.seed(99)
    again = source(patches, dict(reversed(wanted.items())), memory_bytes=memory_bytes)
    assert order(again, 1) == second and order(again, 0) == first
    other = source(patches, wanted, memory_bytes=memory_bytes, shuffle_seed=6)
    assert order(other, 0) != first
    # Well mixed: the first batch holds records from all over the dataset.
    assert len({name[:3] for name in first[:64]}) >= 6


@MODES
def test_without_a_seed_the_order_is_the_datasets(patches, memory_bytes):
    found = source(patches, labels(range(50)), shuffle_seed=None, memory_bytes=memory_bytes)
    assert order(found, 0) == order(found, 1) == sorted(labels(range(50)))


@MODES
def test_a_missing_labelled_record_is_told(patches, memory_bytes):
    with pytest.raises(RecordError, match="lacks records that have labels") as caught:
        order(source(patches, labels([1, 2, 5000]), memory_bytes=memory_bytes), 0)
    assert caught.value.received == "2 of them, none for p5000"


@MODES
def test_no_labels_are_no_batches(patches, memory_bytes):
    found = source(patches, {}, memory_bytes=memory_bytes)
    assert found.size == 0 and found.class_counts == (0, 0, 0) and order(found, 0) == []


@MODES
def test_a_damaged_shard_is_told(tmp_path, memory_bytes):
    store = open_store(str(tmp_path))
    manifest = _publish(store, "datasets/patches", "x", [[_patch(1), _patch(2)]])
    path = store.fetch(manifest.files[0].key)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(RecordError, match=r"datasets/patches/x/shard-00000\.tfrecord is damaged"):
        order(source((store, manifest), labels([1, 2]), memory_bytes=memory_bytes), 0)


@MODES
def test_records_of_several_sizes_are_refused(tmp_path, memory_bytes):
    store = open_store(str(tmp_path))
    manifest = _publish(store, "datasets/patches", "x", [[_patch(1), _patch(2, side=9)]])
    with pytest.raises(RecordError, match="several sizes"):
        order(source((store, manifest), labels([1, 2]), memory_bytes=memory_bytes), 0)


def test_images_are_read_by_their_ids(store):
    from mammo_core.datasets.readers import RecordSource

    records = [
        ImageRecord(f"i{number}", np.full((6, 4), number, np.uint16), (), 60, 40)
        for number in range(3)
    ]
    manifest = _publish(store, "datasets/images", "x", [records])
    found = RecordSource(store, manifest, {"i2": 1, "i0": 0}, classes=2, batch_size=8)
    (batch,) = found.batches(0)
    assert batch.ids == ["i0", "i2"] and batch.pixels.shape == (2, 6, 4)
    assert batch.labels.tolist() == [0, 1]


def test_tensorflow_parses_our_records(store):
    import tensorflow as tf

    rows = np.arange(5)[:, None] > 2
    mask = np.broadcast_to(rows, (5, 7)).copy()
    from mammo_core.datasets import LesionMask

    record = ImageRecord(
        "a" * 64, np.arange(35, dtype=np.uint16).reshape(5, 7), (LesionMask("x", mask),), 50, 70
    )
    path = store.fetch(write_shard(store, "x", 0, [record.to_bytes()]).key)
    (data,) = tf.data.TFRecordDataset(str(path))
    example = tf.train.Example.FromString(data.numpy())
    fields = example.features.feature
    assert fields["image_id"].bytes_list.value == [b"a" * 64]
    assert fields["source_rows"].int64_list.value == [50]
    assert np.array_equal(
        np.frombuffer(fields["pixels"].bytes_list.value[0], "<u2").reshape(5, 7), record.pixels
    )
    # And TensorFlow's own writer makes what we read.
    assert ImageRecord.from_bytes(example.SerializeToString()).source_columns == 70


@MODES
def test_an_epoch_as_a_tensorflow_dataset(patches, memory_bytes):
    wanted = labels(range(0, 1200, 3))
    found = source(patches, wanted, memory_bytes=memory_bytes)
    assert found.in_memory == (memory_bytes > 0)
    seen = []
    for ids, pixels, classes in found.dataset(3):
        assert pixels.dtype == "uint16" and pixels.shape[1:] == (8, 8)
        names = [name.decode() for name in ids.numpy()]
        assert classes.numpy().tolist() == [wanted[name] for name in names]
        seen += names
    assert seen == order(found, 3) and sorted(seen) == sorted(wanted)


def test_any_order_is_allowed_where_it_need_not_be_the_same(patches):
    found = source(patches, labels(range(1200)), memory_bytes=0, deterministic=False, together=4)
    assert sorted(order(found, 0)) == sorted(labels(range(1200)))


@MODES
def test_a_flipped_byte_anywhere_names_the_shard(tmp_path, memory_bytes):
    store = open_store(str(tmp_path))
    manifest = _publish(store, "datasets/patches", "x", [[_patch(1)], [_patch(2), _patch(3)]])
    path = store.fetch(manifest.file("shard-00001").key)
    whole = path.read_bytes()
    for position in range(0, len(whole), len(whole) // 7):
        data = bytearray(whole)
        data[position] ^= 0x10
        path.write_bytes(data)
        with pytest.raises(RecordError) as caught:
            order(source((store, manifest), labels([1, 2, 3]), memory_bytes=memory_bytes), 0)
        assert "datasets/patches/x/shard-00001.tfrecord" in str(caught.value)


def test_streaming_by_tensorflow_io_needs_its_environment_and_s3(patches):
    from mammo_core.errors import StoreError

    with pytest.raises(StoreError, match="streams from S3 only"):
        source(patches, labels([1]), reader="tfio")
