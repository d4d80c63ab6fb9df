"""Records streamed by TensorFlow, as `reader: tfio` does; here from local files."""

from pathlib import Path

import numpy as np
import pytest

from mammo_core.datasets import PatchRecord
from mammo_core.datasets.shards import write_shard
from mammo_core.errors import RecordError
from mammo_core.store import open_store

LABELS = {f"p{number:03d}": number % 3 for number in range(0, 120, 2)}


def _patch(number, side=8):
    pixels = np.full((side, side), number, np.uint16)
    return PatchRecord(f"p{number:03d}", "i", "", "background", pixels, 0, 0, 0.0, 0.35)


def _files(folder, shards):
    store = open_store(str(folder))
    return [
        str(store.fetch(write_shard(store, "x", i, [r.to_bytes() for r in records]).key))
        for i, records in enumerate(shards)
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stream")
    return _files(folder, [[_patch(20 * shard + n) for n in range(20)] for shard in range(6)])


def stream(files, labels=None, **options):
    from mammo_core.datasets.streaming import ShardStream

    chosen = {"batch_size": 7, "record_size": 200, "parallel": 3, "deterministic": True}
    return ShardStream(files, labels or LABELS, "patch_id", **{**chosen, **options})


def order(reader, seed, epoch):
    return [name for batch in reader.batches(seed, epoch) for name in batch.ids]


@pytest.mark.parametrize("seed", [None, 4])
def test_every_labeled_record_is_read_once(files, seed):
    batches = list(stream(files).batches(seed, 0))
    assert [len(batch.ids) for batch in batches] == [7] * 8 + [4]
    for batch in batches:
        numbers = [int(name[1:]) for name in batch.ids]
        assert batch.pixels[:, 3, 3].tolist() == numbers
        assert batch.labels.tolist() == [LABELS[name] for name in batch.ids]
    names = [name for batch in batches for name in batch.ids]
    assert sorted(names) == sorted(LABELS) and (names == sorted(names)) == (seed is None)


def test_the_order_depends_on_seed_and_epoch_only(files, monkeypatch):
    import tensorflow as tf

    from mammo_core.datasets import streaming

    monkeypatch.setattr(streaming, "SHUFFLE_BYTES", 200 * 10)  # ten records
    first = order(stream(files), 4, 0)
    tf.random.set_seed(9)
    assert order(stream(files), 4, 0) == first != order(stream(files), 4, 1)
    assert order(stream(files), 5, 0) != first
    assert sorted(order(stream(files, deterministic=False), 4, 0)) == sorted(first)


def test_records_of_different_sizes_are_refused(tmp_path):
    files = _files(tmp_path, [[_patch(0), _patch(2, side=9)]])
    with pytest.raises(RecordError, match="one size"):
        order(stream(files), None, 0)


def test_a_damaged_file_is_named(tmp_path):
    (path,) = _files(tmp_path, [[_patch(0)]])
    data = bytearray(Path(path).read_bytes())
    data[40] ^= 1
    Path(path).write_bytes(data)
    with pytest.raises(RecordError, match="shard-00000"):
        order(stream([path]), None, 0)
