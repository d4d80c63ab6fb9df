"""Stores whose conditional writes cannot be trusted are refused before anything is written."""

import json
from uuid import uuid4

import pytest

from mammo_core.errors import StoreError
from mammo_core.store import open_store, probe, require_conditional_writes
from tests.support.racy_server import racy_server


@pytest.fixture
def small_store(request, monkeypatch, tmp_path):
    """A store on a small server with the fault of the test."""
    with racy_server(request.param) as endpoint:
        monkeypatch.setenv("MAMMO_S3_ENDPOINT", endpoint)
        monkeypatch.setenv("MAMMO_S3_ACCESS_KEY", "any")
        monkeypatch.setenv("MAMMO_S3_SECRET_KEY", "any secret")
        monkeypatch.setenv("MAMMO_SCRATCH", str(tmp_path))
        yield open_store(f"s3://small/{uuid4().hex}")


@pytest.mark.parametrize(
    ("small_store", "received"),
    [
        ("racy", r"of 32 writes at once to a new key won \(If-None-Match\)"),
        ("racy-match", r"of 32 writes at once over the same bytes won \(If-Match\)"),
        ("blind", r"32 of 32 writes at once to a new key won"),
    ],
    indirect=["small_store"],
)
def test_a_server_that_lets_several_writers_win_is_refused_by_name(small_store, received):
    with pytest.raises(StoreError, match=received) as caught:
        require_conditional_writes(small_store)
    text = str(caught.value)
    assert small_store.uri in text and "SmallS3" in text and "exactly one wins" in text
    assert "SeaweedFS 4.17" in str(caught.value.hint)
    # Nor does it get a lease: the test is not skipped where no run begins.
    with pytest.raises(StoreError, match=received), small_store.lease("k"):
        pass


@pytest.mark.parametrize("small_store", ["exact"], indirect=True)
def test_a_server_that_lets_one_writer_win_passes(small_store):
    require_conditional_writes(small_store)
    with small_store.lease("k") as lease:
        lease.check()


def test_real_stores_pass_and_keep_nothing_but_the_outcome(store):
    require_conditional_writes(store)
    assert list(store.list("")) == []
    assert json.loads(store.read(probe.PASSED))["server"] == getattr(store, "endpoint", store.uri)


@pytest.mark.s3
def test_a_server_that_passed_is_not_tested_again_by_the_next_steps(store, monkeypatch):
    require_conditional_writes(store)
    monkeypatch.setattr(probe, "_verified", set())  # as in another process
    monkeypatch.setattr(probe, "_race", lambda *arguments: pytest.fail("tested again"))
    probe.require_tested(store)
    assert store.uri in probe._verified


@pytest.mark.parametrize("note", [b"{}", b"[", b'{"server": "http://another"}'])
def test_the_outcome_of_another_server_does_not_count(store, monkeypatch, note):
    store.write(probe.PASSED, note)
    races = []
    real = probe._race
    monkeypatch.setattr(probe, "_race", lambda *arguments: races.append(1) or real(*arguments))
    probe.require_tested(store)
    assert len(races) == 4


def test_a_store_that_fails_now_loses_its_earlier_outcome(file_store, monkeypatch):
    require_conditional_writes(file_store)
    monkeypatch.setattr(probe, "_verified", set())
    monkeypatch.setattr(probe, "_race", lambda *arguments: ["a", "b"])
    with pytest.raises(StoreError, match="2 of 32"):
        require_conditional_writes(file_store)
    assert file_store.state(probe.PASSED) is None
