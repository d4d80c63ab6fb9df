"""Shards: planning and TFRecord framing."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo_core.datasets.shards import plan, shard_name, write_shard
from mammo_core.datasets.tfrecord import frame_record, read_records
from mammo_core.errors import RecordError, StoreError

RECORDS = [b"one", b"", b"x" * 5000, bytes(range(256))]


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 100))
def test_a_plan_keeps_every_item_in_order_and_fills_shards(sizes, target):
    items = list(range(len(sizes)))
    shards = plan(items, sizes, target)
    assert [item for shard in shards for item in shard] == items
    filled = [sum(sizes[item] for item in shard) for shard in shards]
    assert all(shards) and all(
        size <= target or len(shard) == 1 for size, shard in zip(filled, shards, strict=True)
    )
    # A shard starts only where its first item did not fit into the previous shard.
    for before, shard in zip(range(len(shards) - 1), shards[1:], strict=True):
        assert filled[before] + sizes[shard[0]] > target


def test_a_plan_needs_one_size_per_item():
    with pytest.raises(ValueError, match="zip"):
        plan([1, 2], [1], 10)


def test_a_shard_contains_every_record(store):
    file = write_shard(store, "datasets/images/x", 7, iter(RECORDS))
    assert (file.name, file.key) == ("shard-00007", "datasets/images/x/shard-00007.tfrecord")
    assert file.count == len(RECORDS) and shard_name(7) == file.name
    path = store.fetch(file.key)
    assert file.size == path.stat().st_size == sum(map(len, RECORDS)) + 16 * len(RECORDS)
    assert list(read_records(path)) == RECORDS


def test_the_framing_is_tfrecord(file_store):
    from apache_beam.io.tfrecordio import _TFRecordUtil

    path = file_store.fetch(write_shard(file_store, "x", 0, RECORDS).key)
    with path.open("rb") as file:
        assert [_TFRecordUtil.read_record(file) for _ in RECORDS] == RECORDS
        assert _TFRecordUtil.read_record(file) is None


def test_a_failure_while_records_are_generated_leaves_nothing(file_store):
    def records():
        yield b"one"
        raise StoreError("away", expected="a", received="b")

    with pytest.raises(StoreError, match="away"):
        write_shard(file_store, "x", 0, records())
    assert list(file_store.list("")) == []


def _offsets():
    at = 0
    for record in RECORDS:
        yield at
        at += 16 + len(record)


@pytest.mark.parametrize(
    ("number", "part"),
    [
        (number, part)
        for number, record in enumerate(RECORDS)
        for part in ("length", "length crc", "data crc", *(["data"] if record else []))
    ],
)
def test_a_flipped_bit_is_reported_at_its_record(file_store, tmp_path, number, part):
    data = bytearray(file_store.fetch(write_shard(file_store, "x", 0, RECORDS).key).read_bytes())
    size = len(RECORDS[number])
    offset = {"length": 0, "length crc": 8, "data": 12, "data crc": 12 + size}[part]
    data[list(_offsets())[number] + offset] ^= 1
    path = tmp_path / "shard"
    path.write_bytes(data)
    reader = read_records(path)
    assert [next(reader) for _ in range(number)] == RECORDS[:number]
    with pytest.raises(RecordError, match=f"shard is damaged at record {number}"):
        next(reader)


@pytest.mark.parametrize("left", [1, 11, 12, 14, 18])
def test_a_truncated_file_is_reported(file_store, tmp_path, left):
    data = file_store.fetch(write_shard(file_store, "x", 0, RECORDS).key).read_bytes()
    path = tmp_path / "shard"
    path.write_bytes(data[:left])
    with pytest.raises(RecordError, match=r"record 0\..*the file ends inside it"):
        list(read_records(path))


def test_a_length_beyond_the_file_is_reported(tmp_path):
    framed = frame_record(b"x" * 100)
    path = tmp_path / "shard"
    path.write_bytes(framed[:50])
    with pytest.raises(RecordError, match="ends inside it"):
        list(read_records(path))
    assert struct.unpack("<Q", framed[:8]) == (100,)
