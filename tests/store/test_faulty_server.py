"""Every 20th request to a real S3 server fails: the same bytes, or a clear error."""

import hashlib
import time
from uuid import uuid4

import pytest

from mammo_core.errors import StoreError
from mammo_core.ingest import ConvertConfig, RunnerConfig, convert, sample
from mammo_core.preprocessing import Geometry
from mammo_core.sampling import SamplingConfig
from mammo_core.sources import SourceConfig, index
from mammo_core.store import DamagedError, open_store, s3_requests
from tests.support.faulty_proxy import faulty_proxy
from tests.support.ingest import digests

pytestmark = pytest.mark.s3


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    from mammo_core.phantom import PhantomConfig, create

    root = tmp_path_factory.mktemp("faulty") / "tree"
    create(root, PhantomConfig(patients=4, seed=2, height=192, width=144), workers=1)
    return root, index(SourceConfig(root=str(root)))


def build_datasets(store, source):
    root, tables = source
    runner = RunnerConfig(workers=2)
    images = convert(
        store,
        tables.images,
        tables.lesions,
        root=root,
        config=ConvertConfig(geometry=Geometry(height=432, width=324), shard_mb=1),
        runner=runner,
        lineage={"tables": "t"},
    )
    sampling = SamplingConfig(patch_size=24, lesion_patches=2, background_patches=2)
    sample(store, images, sampling, 1, runner)


@pytest.fixture(scope="module")
def expected(source, tmp_path_factory):
    store = open_store(str(tmp_path_factory.mktemp("plain")))
    build_datasets(store, source)
    return digests(store, "")


@pytest.mark.parametrize("fault", ["fail", "lost", "slow", "truncated", "flipped"])
def test_faults_do_not_change_the_bytes(s3_environment, monkeypatch, source, expected, fault):
    uri = f"s3://mammo-faulty/{uuid4().hex}"
    # Fewer requests can fail in these ways.
    every = 7 if fault in ("truncated", "flipped") else 20
    with faulty_proxy(s3_environment.endpoint, fault, every) as proxy:
        monkeypatch.setenv("MAMMO_S3_ENDPOINT", proxy.endpoint)
        build_datasets(open_store(uri), source)
        assert proxy.counts["faulty"] >= 3, proxy.counts
        monkeypatch.setenv("MAMMO_S3_ENDPOINT", s3_environment.endpoint)
        assert digests(open_store(uri), "") == expected


def test_a_server_that_always_fails_is_reported(s3_environment, monkeypatch, source):
    monkeypatch.setattr(s3_requests, "RETRY_S", 0.5)
    uri = f"s3://mammo-faulty/{uuid4().hex}"
    with faulty_proxy(s3_environment.endpoint, "down") as proxy:
        monkeypatch.setenv("MAMMO_S3_ENDPOINT", proxy.endpoint)
        start = time.monotonic()
        with pytest.raises(StoreError, match=f"in the store {uri}"):
            build_datasets(open_store(uri), source)
        assert time.monotonic() - start < 60
        for work in ("read", "fetch", "sha256"):
            with pytest.raises(StoreError, match="'some/key'"):
                getattr(open_store(uri), work)("some/key")
    monkeypatch.setenv("MAMMO_S3_ENDPOINT", s3_environment.endpoint)
    assert list(open_store(uri).list("")) == []


@pytest.mark.parametrize("work", ["read", "fetch", "sha256"])
def test_bytes_that_always_arrive_damaged_are_reported(s3_environment, monkeypatch, work):
    uri = f"s3://mammo-faulty/{uuid4().hex}"
    open_store(uri).write("some/key", b"whole" * 1000)
    with faulty_proxy(s3_environment.endpoint, "flipped", every=1) as proxy:
        monkeypatch.setenv("MAMMO_S3_ENDPOINT", proxy.endpoint)
        with pytest.raises(DamagedError, match="'some/key'"):
            getattr(open_store(uri), work)("some/key")
        assert proxy.counts["faulty"] > 1  # it was requested again


@pytest.mark.parametrize("fault", ["fail", "lost", "truncated"])
def test_a_large_file_is_sent_in_parts_through_faults(s3_environment, monkeypatch, tmp_path, fault):
    path = tmp_path / "large"
    path.write_bytes(hashlib.shake_256(b"parts").digest(40 * 2**20))
    uri = f"s3://mammo-faulty/{uuid4().hex}"
    with faulty_proxy(s3_environment.endpoint, fault, every=3) as proxy:
        monkeypatch.setenv("MAMMO_S3_ENDPOINT", proxy.endpoint)
        store = open_store(uri)
        for number in range(3):
            store.put_file(f"{number}", path)
            assert store.fetch(f"{number}").read_bytes() == path.read_bytes()
        assert proxy.counts["faulty"], proxy.counts


def test_leases_and_conditional_writes_survive_lost_answers(s3_environment, monkeypatch):
    uri = f"s3://mammo-faulty/{uuid4().hex}"
    with faulty_proxy(s3_environment.endpoint, "lost", every=3) as proxy:
        monkeypatch.setenv("MAMMO_S3_ENDPOINT", proxy.endpoint)
        store = open_store(uri)
        for number in range(6):
            with store.lease("k", wait_s=20) as lease:
                lease.check()
                previous = None if number == 0 else str(number - 1).encode()
                assert store.write_if("n", str(number).encode(), previous)
        assert proxy.counts["faulty"] > 5
    monkeypatch.setenv("MAMMO_S3_ENDPOINT", s3_environment.endpoint)
    assert open_store(uri).read("n") == b"5"
