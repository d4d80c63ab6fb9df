"""Making outputs: what an owner that lost its lease can and cannot do."""

import json
from dataclasses import replace

import pytest

from mammo_core.datasets import Manifest, find
from mammo_core.datasets.manifests import publish, put_bytes
from mammo_core.datasets.outputs import Draft, make_output, reuse_or_make
from mammo_core.errors import StoreError
from mammo_core.store import LeaseLostError

FOLDER = "frames/x1"


def draft_of(attempt, data=b"bytes", **options):
    """Write the file of an output, as an attempt at it."""
    file = put_bytes(attempt.store, attempt.folder(FOLDER), "a", data)
    manifest = Manifest(kind="frames", id="x1", revision=1, config={}, files=(file,))
    return Draft(manifest, **options)


def take_over(attempt, released=True):
    """Put another owner into the lease, as a process does that saw no renewal."""
    lease, store = attempt.lease, attempt.store
    owner = lease._owner
    other = replace(
        owner, host="other", token="f" * 32, generation=owner.generation + 1, released=released
    )
    while not store.put_if(lease._file, other.to_bytes(), store.state(lease._file)[1]):
        pass  # it was renewed in between
    return f"{FOLDER}/{other.generation}-{other.token[:8]}"


def publish_other(store, folder):
    file = put_bytes(store, folder, "a", b"bytes")
    return publish(store, Manifest(kind="frames", id="x1", revision=1, config={}, files=(file,)))


def run(store, make, said=None):
    say = [].append if said is None else said.append
    return reuse_or_make(store, FOLDER, lambda: find(store, "frames", "x1"), make, say=say)


def test_the_files_of_attempts_have_their_own_keys(store):
    first = make_output(store, FOLDER, draft_of)
    (file,) = first.files
    assert file.key.split("/")[:2] == ["frames", "x1"] and file.key.endswith("/a")
    store.delete(first.key)
    again = make_output(store, FOLDER, draft_of)
    assert again.files[0].key != file.key and store.exists(file.key)
    assert (again.id, again.files[0].sha256, again.counts) == (first.id, file.sha256, first.counts)
    assert again.files[0].key.split("/")[2].startswith("2-")  # the generation of the lease


def test_an_owner_that_was_replaced_publishes_nothing(store):
    said, finished = [], []

    def make(attempt):
        draft = draft_of(attempt, finish=finished.append)  # written by the paused owner
        publish_other(store, take_over(attempt))
        return draft

    manifest, reused = run(store, make, said)
    assert reused and finished == []
    assert "/2-ffffffff/" in manifest.files[0].key and manifest == find(store, "frames", "x1")
    assert any("paused" in text for text in said)


def test_an_owner_that_was_replaced_by_one_that_ended_makes_the_output_again(store):
    attempts = []

    def make(attempt):
        attempts.append(attempt.lease.attempt)
        draft = draft_of(attempt)
        if len(attempts) == 1:
            take_over(attempt)  # and that owner ends without a result
        return draft

    manifest, reused = run(store, make)
    assert not reused and len(attempts) == 2
    assert manifest.files[0].key == f"{FOLDER}/{attempts[1]}/a"
    assert attempts[1].startswith("3-")  # 2 was the other's


def test_an_output_that_appears_between_check_and_publication_is_kept(store):
    done = []

    def make(attempt):
        done.append(publish_other(store, f"{FOLDER}/9-ffffffff"))
        return draft_of(attempt, finish=done.append)

    manifest, _ = run(store, make)
    assert done == [manifest, manifest] and find(store, "frames", "x1") == manifest
    # What was written in vain is gone.
    assert sorted(store.list("")) == sorted([manifest.key, manifest.files[0].key])


def test_a_manifest_is_never_replaced(store):
    first = make_output(store, FOLDER, draft_of)
    data = store.read(first.key)
    assert make_output(store, FOLDER, lambda attempt: draft_of(attempt, b"other")) == first
    assert store.read(first.key) == data and json.loads(data)["files"][0]["size"] == 5


def test_publishing_needs_the_lease(store):
    with store.lease(FOLDER) as lease:
        attempt = type("A", (), {"lease": lease, "store": store})
        take_over(attempt)
        empty = Manifest(kind="frames", id="x1", revision=1, config={}, files=())
        with pytest.raises(LeaseLostError, match=f"The lease of {FOLDER} was lost"):
            publish(store, empty, lease=lease)
    assert find(store, "frames", "x1") is None


def test_an_output_that_was_removed_while_it_was_published_is_an_error(file_store, monkeypatch):
    monkeypatch.setattr(file_store, "write_if", lambda *arguments: False)
    with pytest.raises(StoreError, match="was removed while it was published"):
        make_output(file_store, FOLDER, draft_of)
