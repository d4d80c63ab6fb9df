"""Readers of record datasets."""

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


def source(patches, labels, **options):
    from mammo_core.datasets.readers import RecordSource

    store, manifest = patches
    return RecordSource(
        store, manifest, labels, classes=CLASSES, **{"batch_size": 32, "shuffle_seed": 5, **options}
    )


def order(reader, epoch):
    return [name for batch in reader.batches(epoch) for name in batch.ids]


@MODES
def test_every_labeled_record_is_read_once_with_its_pixels_and_label(patches, memory_bytes):
    expected = labels(range(0, 1200, 2))
    reader = source(patches, expected, memory_bytes=memory_bytes)
    assert reader.size == 600 and reader.class_counts == (200, 200, 200)
    for epoch in (0, 1):
        batches = list(reader.batches(epoch))
        assert [len(batch.ids) for batch in batches] == [32] * 18 + [24]
        names = [name for batch in batches for name in batch.ids]
        assert sorted(names) == sorted(expected)
        for batch in batches:
            assert batch.pixels.dtype == np.uint16 and batch.labels.dtype == np.int32
            numbers = [int(name[1:]) for name in batch.ids]
            assert batch.pixels[:, 3, 3].tolist() == numbers
            assert batch.pixels[:, 0, 0].tolist() == [65535] * len(numbers)
            assert batch.labels.tolist() == [number % CLASSES for number in numbers]


@MODES
def test_the_order_depends_on_epoch_and_seed_only(patches, memory_bytes):
    import tensorflow as tf

    expected = labels(range(1200))
    reader = source(patches, expected, memory_bytes=memory_bytes)
    first, second = order(reader, 0), order(reader, 1)
    assert first != second != sorted(first) and sorted(first) == sorted(second)
    tf.random.set_seed(99)  # as keras.utils.set_random_seed does
    np.random.seed(99)
    again = source(patches, dict(reversed(expected.items())), memory_bytes=memory_bytes)
    assert order(again, 1) == second and order(again, 0) == first
    other = source(patches, expected, memory_bytes=memory_bytes, shuffle_seed=6)
    assert order(other, 0) != first
    # Well mixed: the first batches contain records of many shards.
    assert len({name[:3] for name in first[:64]}) >= 6


@MODES
def test_without_a_seed_records_are_sorted_by_id(patches, memory_bytes):
    reader = source(patches, labels(range(50)), shuffle_seed=None, memory_bytes=memory_bytes)
    assert order(reader, 0) == order(reader, 1) == sorted(labels(range(50)))


@MODES
def test_a_missing_labeled_record_is_reported(patches, memory_bytes):
    with pytest.raises(RecordError, match="lacks records that have labels") as caught:
        order(source(patches, labels([1, 2, 5000]), memory_bytes=memory_bytes), 0)
    assert caught.value.received == "2 of them; missing: p5000"


@MODES
def test_without_labels_there_are_no_batches(patches, memory_bytes):
    reader = source(patches, {}, memory_bytes=memory_bytes)
    assert reader.size == 0 and reader.class_counts == (0, 0, 0) and order(reader, 0) == []


@MODES
def test_a_damaged_shard_is_reported(tmp_path, memory_bytes):
    store = open_store(str(tmp_path))
    manifest = _publish(store, "datasets/patches", "x", [[_patch(1), _patch(2)]])
    path = store.fetch(manifest.files[0].key)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(RecordError, match=r"datasets/patches/x/shard-00000\.tfrecord is damaged"):
        order(source((store, manifest), labels([1, 2]), memory_bytes=memory_bytes), 0)


@MODES
def test_records_of_different_sizes_are_refused(tmp_path, memory_bytes):
    store = open_store(str(tmp_path))
    manifest = _publish(store, "datasets/patches", "x", [[_patch(1), _patch(2, side=9)]])
    with pytest.raises(RecordError, match="different sizes"):
        order(source((store, manifest), labels([1, 2]), memory_bytes=memory_bytes), 0)


def test_images_are_read_by_their_ids(store):
    from mammo_core.datasets.readers import RecordSource

    records = [
        ImageRecord(f"i{number}", np.full((6, 4), number, np.uint16), (), 60, 40)
        for number in range(3)
    ]
    manifest = _publish(store, "datasets/images", "x", [records])
    reader = RecordSource(store, manifest, {"i2": 1, "i0": 0}, classes=2, batch_size=8)
    (batch,) = reader.batches(0)
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
    # And our reader parses what TensorFlow serializes.
    assert ImageRecord.from_bytes(example.SerializeToString()).source_columns == 70


@MODES
def test_an_epoch_as_a_tensorflow_dataset(patches, memory_bytes):
    expected = labels(range(0, 1200, 3))
    reader = source(patches, expected, memory_bytes=memory_bytes)
    assert reader.in_memory == (memory_bytes > 0)
    read = []
    for ids, pixels, classes in reader.dataset(3):
        assert pixels.dtype == "uint16" and pixels.shape[1:] == (8, 8)
        names = [name.decode() for name in ids.numpy()]
        assert classes.numpy().tolist() == [expected[name] for name in names]
        read += names
    assert read == order(reader, 3) and sorted(read) == sorted(expected)


def test_every_record_is_read_when_the_order_is_not_deterministic(patches):
    reader = source(patches, labels(range(1200)), memory_bytes=0, deterministic=False, parallel=4)
    assert sorted(order(reader, 0)) == sorted(labels(range(1200)))


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


def test_streaming_with_tensorflow_io_needs_s3(patches):
    from mammo_core.errors import StoreError

    with pytest.raises(StoreError, match="streams from S3 only"):
        source(patches, labels([1]), reader="tfio")
