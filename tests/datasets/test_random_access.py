"""Records located and read one at a time."""

import numpy as np
import pytest

from mammo_core.datasets import ImageRecord, LesionMask, PatchRecord
from mammo_core.datasets.random_access import locate_records, read_pixels
from mammo_core.datasets.records import encode
from mammo_core.datasets.shards import write_shard
from mammo_core.datasets.tfrecord import read_records
from mammo_core.errors import RecordError
from mammo_core.store import open_store


def _shard(folder, records):
    store = open_store(str(folder))
    return store.fetch(write_shard(store, "x", 0, records).key)


def _images(count, shape=(60, 50), lesions=2):
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = random.integers(0, 65536, shape).astype(np.uint16)
        masks = tuple(
            LesionMask(f"lesion_{k}" * 90, random.random(shape) < 0.5) for k in range(lesions)
        )
        yield ImageRecord(f"i{number}" + "x" * 62, pixels, masks, 1000, 70000)


@pytest.mark.parametrize("lesions", [0, 1, 5])
def test_ids_and_pixels_match_the_records(tmp_path, lesions):
    records = list(_images(5, lesions=lesions))
    path = _shard(tmp_path, [record.to_bytes() for record in records])
    located = list(locate_records(str(path), "x/shard", "image_id"))
    assert [name for name, _ in located] == [record.image_id for record in records]
    for (_, location), record, data in zip(located, records, read_records(path), strict=True):
        assert location.length == len(data) and location.name == "x/shard"
        pixels = read_pixels(location)
        assert pixels.dtype == np.uint16 and np.array_equal(pixels, record.pixels)


def test_patches_with_one_row_of_pixels(tmp_path):
    patch = PatchRecord("p", "i", "", "x", np.full((1, 300), 7, np.uint16), 0, 0, 0.5, 0.5)
    ((name, location),) = locate_records(str(_shard(tmp_path, [patch.to_bytes()])), "k", "patch_id")
    assert name == "p" and read_pixels(location).shape == (1, 300)


def test_records_written_by_tensorflow(tmp_path):
    import tensorflow as tf

    (record,) = _images(1)
    example = tf.train.Example.FromString(record.to_bytes())
    with tf.io.TFRecordWriter(str(tmp_path / "tensorflow")) as writer:
        writer.write(example.SerializeToString())  # fields in any order
    ((name, location),) = locate_records(str(tmp_path / "tensorflow"), "k", "image_id")
    assert name == record.image_id and np.array_equal(read_pixels(location), record.pixels)


def _read_all(path):
    locations = locate_records(str(path), "data/shard-7", "image_id")
    return [read_pixels(location) for _, location in locations]


def test_any_flipped_bit_is_detected(tmp_path):
    path = _shard(tmp_path, [record.to_bytes() for record in _images(2, (9, 8), 1)])
    whole = path.read_bytes()
    random = np.random.default_rng(1)
    for position in random.choice(len(whole), 150, replace=False):
        data = bytearray(whole)
        data[position] ^= 1 << int(random.integers(8))
        path.write_bytes(data)
        with pytest.raises(RecordError, match=r"data/shard-7 is damaged at record [01]"):
            _read_all(path)


def test_any_truncation_is_detected(tmp_path):
    path = _shard(tmp_path, [record.to_bytes() for record in _images(1, (9, 8), 1)])
    whole = path.read_bytes()
    for length in range(1, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(RecordError, match="data/shard-7"):
            _read_all(path)


@pytest.mark.parametrize(
    "fields",
    [
        {"other": "x"},
        {"image_id": 3},
        {"image_id": "x"},
        {"image_id": "x", "pixels": b"1234", "height": 2, "width": 2},
        {"image_id": "x", "pixels": b"12345678", "height": "2", "width": 2},
    ],
)
def test_records_without_an_image_are_refused(tmp_path, fields):
    with pytest.raises(RecordError, match="data/shard-7 is damaged at record 0"):
        _read_all(_shard(tmp_path, [encode(fields)]))
