"""The protocol of a store, in a folder and on an S3 server."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mammo_core.errors import StoreError
from mammo_core.store import open_store


def test_bytes_are_read_back_and_replaced(store):
    store.write("a/b", b"one")
    store.write("a/b", b"two")
    assert store.read("a/b") == b"two"
    assert store.fetch("a/b").read_bytes() == b"two"
    assert store.exists("a/b") and not store.exists("a") and not store.exists("a/c")


def test_a_key_may_have_no_bytes(store):
    store.write("empty", b"")
    assert store.read("empty") == b"" and store.exists("empty")


@pytest.mark.parametrize("work", ["read", "fetch"])
@pytest.mark.parametrize("key", ["nothing", "a", "a/b/c"])
def test_a_missing_key_is_named(store, work, key):
    store.write("a/b", b"here")
    with pytest.raises(StoreError, match=f"has no '{key}'"):
        getattr(store, work)(key)


def test_a_new_store_is_empty(store):
    assert not store.exists("a") and list(store.list("")) == []
    store.delete("a")


@pytest.mark.s3
def test_a_missing_bucket_is_empty_and_created_by_the_first_write(s3_environment):
    store = open_store("s3://mammo-tests-new/runs")
    assert not store.exists("a") and list(store.list("")) == []
    store.delete("a")
    with pytest.raises(StoreError, match="There is no bucket 'mammo-tests-new' at http"):
        store.read("a")
    assert store.write_if("a", b"1", None)
    assert store.read("a") == b"1"


@pytest.mark.s3
def test_the_bucket_is_created_once_by_many_writers(s3_environment):
    def write(number):
        open_store("s3://mammo-tests-many").write(f"{number}", b"x")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert list(open_store("s3://mammo-tests-many").list("")) == [str(n) for n in range(8)]


def test_a_listing_is_of_one_folder_and_sorted(store):
    for key in ("ab/x", "a/z", "a/b/y", "a-b/x", "a/.hidden/x", "a/.x", "a.json"):
        store.write(key, b"")
    assert list(store.list("a")) == list(store.list("a/")) == ["a/b/y", "a/z"]
    # By code points of the whole key, as S3 sorts: '-' < '.' < '/' < 'b'.
    assert list(store.list("")) == ["a-b/x", "a.json", "a/b/y", "a/z", "ab/x"]
    assert list(store.list("a/z")) == [] and list(store.list("none/")) == []


def test_deleting_removes_only_that_key(store):
    store.write("a/b", b"1")
    store.write("a/c", b"2")
    store.delete("a/b")
    store.delete("a/b")
    store.delete("a/c/d")  # below a key
    assert list(store.list("")) == ["a/c"]


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a/.", "a\\b", "a\0b"]
)
@pytest.mark.parametrize("work", ["read", "exists", "fetch", "delete"])
def test_a_key_outside_the_store_is_rejected(file_store, work, key):
    with pytest.raises(StoreError, match="key cannot be used"):
        getattr(file_store, work)(key)


def test_both_kinds_of_store_reject_keys_outside(store):
    for work in (lambda: store.write("../a", b""), lambda: list(store.list("../a"))):
        with pytest.raises(StoreError, match="key cannot be used"):
            work()


def test_unusual_names_are_keys(store):
    names = ["with space", "50%", "a+b=c&d", "ünïcode", "a#b?c", "~x"]
    for name in names:
        store.write(f"odd/{name}/x", name.encode())
    assert list(store.list("odd")) == sorted(f"odd/{name}/x" for name in names)
    for name in names:
        assert store.read(f"odd/{name}/x") == name.encode()
        assert store.fetch(f"odd/{name}/x").read_bytes() == name.encode()


def test_a_conditional_write_needs_the_previous_bytes(store):
    assert not store.write_if("k", b"new", b"old")
    assert store.write_if("k", b"1", None)
    assert not store.write_if("k", b"2", None)
    assert not store.write_if("k", b"2", b"0")
    assert store.write_if("k", b"2", b"1")
    assert store.read("k") == b"2"


@pytest.mark.parametrize("previous", [None, b"start"])
def test_one_of_many_conditional_writes_wins(store, previous):
    if previous is not None:
        store.write("k", previous)
    ready = threading.Barrier(6)

    def race(number):
        connection = open_store(store.uri)
        ready.wait()
        return connection.write_if("k", str(number).encode(), previous)

    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(race, range(6)))
    assert sum(won) == 1
    assert store.read("k") == str(won.index(True)).encode()


def test_a_reader_gets_old_or_new_bytes_and_nothing_between(store):
    old, new = b"o" * 300_000, b"n" * 200_000
    store.write("k", old)
    contents, stop = set(), threading.Event()

    def read():
        connection = open_store(store.uri)
        while not stop.is_set():
            contents.add(connection.read("k"))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(20):
        store.write("k", new if number % 2 == 0 else old)
    stop.set()
    reader.join()
    assert contents <= {old, new}


def test_a_large_file_is_read_back(store, tmp_path):
    # Above the 5 MiB parts of minio's client: several parts on S3.
    path = tmp_path / "large"
    path.write_bytes(hashlib.shake_256(b"mammo").digest(17 * 2**20))
    store.put_file("large", path)
    assert store.fetch("large").read_bytes() == path.read_bytes()
    store.put_file("again/large", store.fetch("large"))
    assert store.read("again/large") == path.read_bytes()


def test_a_missing_local_file_is_an_error(store, tmp_path):
    with pytest.raises(StoreError, match="No such file"):
        store.put_file("k", tmp_path / "absent")
    assert list(store.list("")) == []


def test_the_uri_opens_the_same_store(store):
    store.write("a", b"1")
    again = open_store(store.uri)
    assert again.uri == store.uri and again.read("a") == b"1"


def test_a_fetched_file_has_the_current_bytes(store):
    store.write("k", b"one")
    assert store.fetch("k").read_bytes() == b"one"
    store.write("k", b"two")
    assert Path(store.fetch("k")).read_bytes() == b"two"
