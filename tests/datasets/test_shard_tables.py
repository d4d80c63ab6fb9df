"""A manifest with a long list of shards stays short, and readers have all of them."""

import pytest

from mammo_core.datasets import shard_tables
from mammo_core.datasets.kinds import Facts, Kind
from mammo_core.datasets.manifests import (
    SHARD_TABLE,
    find,
    parse,
    publish,
    put_bytes,
    read_manifest,
)
from mammo_core.datasets.verification import verify_store
from mammo_core.errors import RecordError

KIND = Kind("things", 1, Facts)


def with_shards(store, count, excluded=()):
    manifest = KIND.manifest(f"{count:032x}", config={}, facts=Facts())
    names = [f"shard-{at:05d}" for at in range(count)]
    files = [put_bytes(store, f"{manifest.folder}/a", name, name.encode()) for name in names]
    files = [file.model_copy(update={"count": 9, "excluded": excluded}) for file in files]
    files.append(put_bytes(store, f"{manifest.folder}/a", "items.parquet", b"items"))
    return manifest.model_copy(update={"files": tuple(files)})


@pytest.mark.parametrize("limit", ["MOST_SHARDS", "MOST_EXCLUDED"])
def test_a_long_list_is_beside_the_manifest(file_store, monkeypatch, limit):
    monkeypatch.setattr(shard_tables, limit, 20)
    whole = with_shards(file_store, 30, ("a", "b"))
    published = publish(file_store, whole)
    text = file_store.read(published.key)
    assert b"shard-00003" not in text and len(text) < 2_000
    for manifest in (published, find(file_store, "things", whole.id)):
        assert [file for file in manifest.files if file.name != SHARD_TABLE] == sorted(
            whole.files, key=lambda file: file.name
        )
        assert manifest.to_json().encode() == text
    # What is passed on as text has the table in place of the shards.
    passed = parse(published.to_json(), "passed")
    assert [file.name for file in passed.files] == ["items.parquet", SHARD_TABLE]
    assert shard_tables.complete(file_store, passed) == published
    assert verify_store(file_store).faults == {}


def test_a_short_list_stays_in_the_manifest(file_store):
    published = publish(file_store, with_shards(file_store, 30))
    assert SHARD_TABLE not in published.to_json() and "shard-00003" in published.to_json()
    assert shard_tables.complete(file_store, published) == published


def test_a_damaged_table_is_an_error(file_store, monkeypatch):
    monkeypatch.setattr(shard_tables, "MOST_SHARDS", 20)
    published = publish(file_store, with_shards(file_store, 30))
    file_store.write(published.file(SHARD_TABLE).key, b"PAR1")
    with pytest.raises(RecordError, match="damaged"):
        read_manifest(file_store, published.key)
