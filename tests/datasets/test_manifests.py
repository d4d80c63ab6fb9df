"""Manifests: content addresses, publishing, damage."""

import json
import random

import pytest

from mammo_core.datasets import Manifest, content_id, find, parse, publish
from mammo_core.datasets.manifests import put_bytes
from mammo_core.errors import RecordError, StoreError


def manifest(**changes):
    values = {"kind": "frames", "id": "x1", "revision": 3, "config": {"a": [1, 2]}, "files": ()}
    return Manifest(**{**values, **changes})


def test_a_stored_manifest_has_the_same_bytes(file_store):
    files = tuple(put_bytes(file_store, "frames/x1", name, name.encode()) for name in "ba")
    written = publish(file_store, manifest(files=files, counts={"n": 1}, lineage={"from": "y"}))
    assert [file.name for file in written.files] == ["a", "b"]
    read = find(file_store, "frames", "x1")
    assert read == written and read.to_json() == written.to_json()
    assert file_store.read("frames/x1/manifest.json") == written.to_json().encode()
    assert read.file("a").size == 1 and [f.name for f in read.files_like("b")] == ["b"]
    with pytest.raises(RecordError, match="no file 'c'"):
        read.file("c")


def test_equal_manifests_are_equal_bytes():
    first = manifest(config={"b": 1, "a": 2}, counts={"y": 1, "x": 2})
    second = manifest(config={"a": 2, "b": 1}, counts={"x": 2, "y": 1})
    assert first.to_json() == second.to_json()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surprise": 1}, "surprise"),
        ({"files": [{"name": "a"}]}, "files.0"),
        ({"id": None}, "id"),
        ({"schema_version": 3}, "another schema version: a later revision"),
        ({"schema_version": 3, "surprise": 1}, "another schema version: a later revision"),
        ({"schema_version": 1}, "an older revision .* wrote it.*into an empty store"),
    ],
)
def test_an_invalid_manifest_is_refused(change, message):
    data = {**json.loads(manifest().to_json()), **change}
    with pytest.raises(RecordError, match=message) as caught:
        parse(json.dumps(data), "frames/x1/manifest.json")
    assert "frames/x1/manifest.json" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", b"\xff\xfe"])
def test_text_that_is_not_a_manifest_is_refused(text):
    with pytest.raises(RecordError, match="cannot be read"):
        parse(text, "somewhere")


def test_an_unpublished_output_is_not_found(file_store):
    put_bytes(file_store, "frames/x1", "a", b"1")
    assert find(file_store, "frames", "x1") is None


def test_a_manifest_under_the_key_of_another_output_is_refused(file_store):
    file_store.write("frames/x2/manifest.json", manifest().to_json().encode())
    with pytest.raises(RecordError, match="not of this output"):
        find(file_store, "frames", "x2")


@pytest.mark.parametrize("damage", [b"other", b"longer than it was", b""])
def test_damage_between_writing_and_publishing_is_detected(store, damage):
    file = put_bytes(store, "frames/x1", "a", b"complete")
    store.write(file.key, damage)
    with pytest.raises(RecordError, match="frames/x1/a is damaged"):
        publish(store, manifest(files=(file,)))
    assert find(store, "frames", "x1") is None


def test_a_missing_file_is_detected(file_store):
    file = put_bytes(file_store, "frames/x1", "a", b"complete")
    file_store.delete(file.key)
    with pytest.raises(StoreError, match="has no 'frames/x1/a'"):
        publish(file_store, manifest(files=(file,)))
    assert find(file_store, "frames", "x1") is None


def test_two_files_with_the_same_name_are_refused(file_store):
    file = put_bytes(file_store, "frames/x1", "a", b"complete")
    with pytest.raises(RecordError, match="two files with the same name"):
        publish(file_store, manifest(files=(file, file)))


_PARTS = {
    "kind": "datasets/images",
    "revision": 1,
    "config": {"height": 10, "geometry": {"resize": "pad", "width": 5}},
    "inputs": [("a", "1"), ("b", "2"), ("c", "3")],
}


def test_a_content_id_does_not_depend_on_order():
    shuffled = list(_PARTS["inputs"])
    random.Random(4).shuffle(shuffled)
    config = {"geometry": {"width": 5, "resize": "pad"}, "height": 10}
    assert content_id(**{**_PARTS, "inputs": iter(shuffled), "config": config}) == content_id(
        **_PARTS
    )


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "datasets/patches"},
        {"revision": 2},
        {"config": {**_PARTS["config"], "height": 11}},
        {"config": {**_PARTS["config"], "geometry": {"resize": "pad", "width": 6}}},
        {"inputs": _PARTS["inputs"][:2]},
        {"inputs": [("a", "2"), ("b", "1"), ("c", "3")]},
        {"inputs": [*_PARTS["inputs"], ("d", "1")]},
        {"inputs": [*_PARTS["inputs"], ("c", "3")]},
        {"inputs": []},
    ],
)
def test_a_content_id_changes_with_each_part(change):
    assert content_id(**{**_PARTS, **change}) != content_id(**_PARTS)


def test_content_ids_stay_what_they_were():
    # A changed id rebuilds the outputs of every store: change it on purpose only.
    assert content_id(**_PARTS) == "cba40b3a50c1a6a7458d4c55aa422a6a"
