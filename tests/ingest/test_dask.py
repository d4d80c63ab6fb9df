"""Dask gives the bytes of the direct runner, whatever dies, and its faults are named."""

import threading

import pytest

from mammo_core.errors import RecipeError, RunError, SourceError
from mammo_core.ingest import ConvertConfig, RunnerConfig, convert, on_dask, sample
from mammo_core.preprocessing import Geometry
from mammo_core.sampling import SamplingConfig
from mammo_core.store import open_store
from tests.support.dask_cluster import DaskCluster
from tests.support.ingest import published_digests
from tests.support.processes import free_port, wait_until

CONFIG = ConvertConfig(geometry=Geometry(height=432, width=324), shard_mb=1)
SAMPLING = SamplingConfig(patch_size=24, lesion_patches=2, background_patches=2)


def both(store, source, runner):
    images = convert_with(store, source, runner)
    return images, sample(store, images, SAMPLING, 1, runner)


def convert_with(store, source, runner):
    options = {"root": source.root, "config": CONFIG, "lineage": {"tables": "t"}}
    return convert(store, source.images, source.lesions, runner=runner, **options)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with DaskCluster(tmp_path_factory.mktemp("dask")) as started:
        started.wait_for_workers(2)
        yield started


@pytest.fixture
def runner(cluster):
    return RunnerConfig(runner="dask", address=cluster.address)


@pytest.mark.slow
def test_killed_workers_and_a_restarted_scheduler_change_no_byte(
    cluster, runner, phantom_tables, tmp_path, capsys
):
    reference = open_store(str(tmp_path / "direct"))
    both(reference, phantom_tables, RunnerConfig(workers=1))
    store = open_store(str(tmp_path / "dask"))
    outputs = []
    thread = threading.Thread(target=lambda: outputs.extend(both(store, phantom_tables, runner)))
    thread.start()
    wait_until(lambda: count_notes(store) or not thread.is_alive(), 300)
    assert thread.is_alive()
    cluster.workers[0].kill()
    before = count_notes(store)
    wait_until(lambda: count_notes(store) > before, 300)  # the other worker goes on
    cluster.scheduler.kill()
    cluster.scheduler.wait()
    cluster.wait_until_workers_end()
    assert thread.is_alive(), "the scheduler was killed too late"
    cluster.start_scheduler()
    cluster.start_worker()
    cluster.start_worker()
    thread.join(300)
    count = outputs[0].counts["images"]
    assert len(outputs) == 2 and published_digests(store) == published_digests(reference)
    output = capsys.readouterr().out
    assert "[dask] the scheduler was lost" in output
    assert f"[convert] {count}/{count} images" in output


def count_notes(store):
    return sum("/notes/shard" in key for key in store.list(""))


def test_an_error_of_a_worker_keeps_its_parts(runner, cluster, changeable, file_store):
    cluster.wait_for_workers(1)
    name = changeable.images["path"].iloc[2]
    (changeable.root / name).write_bytes(b"changed")
    with pytest.raises(SourceError) as caught:
        convert_with(file_store, changeable, runner)
    assert caught.value.problem == f"The file {name} changed since it was indexed"


def test_a_worker_with_other_code_is_refused(
    runner, cluster, phantom_tables, file_store, monkeypatch
):
    cluster.wait_for_workers(1)
    monkeypatch.setattr("mammo_core.ingest.planned_shards.code_digest", lambda: "f" * 64)
    with pytest.raises(RunError, match="another version of the code"):
        convert_with(file_store, phantom_tables, runner)


def test_a_cluster_without_a_worker_is_named(phantom_tables, file_store, tmp_path, monkeypatch):
    monkeypatch.setattr(on_dask, "WORKERS_S", 1.0)
    with DaskCluster(tmp_path, workers=0) as empty:
        runner = RunnerConfig(runner="dask", address=empty.address)
        with pytest.raises(RunError, match="has no worker"):
            convert_with(file_store, phantom_tables, runner)


def test_a_scheduler_that_cannot_be_reached_is_named(phantom_tables, file_store):
    address = f"tcp://127.0.0.1:{free_port()}"
    options = ("--dask_connection_timeout=1",)
    runner = RunnerConfig(runner="dask", address=address, options=options)
    with pytest.raises(RunError, match="cannot be reached") as caught:
        convert_with(file_store, phantom_tables, runner)
    assert address in caught.value.expected


def test_the_address_is_the_recipe_s_or_the_environment_s(monkeypatch):
    monkeypatch.delenv(on_dask.ADDRESS, raising=False)
    with pytest.raises(RecipeError, match="has no cluster"):
        RunnerConfig(runner="dask").flags()
    monkeypatch.setenv(on_dask.ADDRESS, "tcp://environment:8786")
    flags = RunnerConfig(runner="dask").flags()
    # One task a shard: Beam's default would give 128 of them to one worker.
    assert {"--dask_client_address=tcp://environment:8786", "--dask_partition_size=1"} < set(flags)
    flags = RunnerConfig(runner="dask", address="tls://recipe:8786").flags()
    assert "--dask_client_address=tls://recipe:8786" in flags
    flags = RunnerConfig(runner="dask", options=("--dask_client_address=tcp://o:1",)).flags()
    assert flags.count("--dask_client_address=tcp://o:1") == 1 == sum("address" in f for f in flags)
    with pytest.raises(ValueError, match="an address is Dask's"):
        RunnerConfig(address="tcp://recipe:8786")
    for address in ("recipe:8786", "http://recipe", "tcp://a b"):
        with pytest.raises(ValueError, match="address"):
            RunnerConfig(runner="dask", address=address)
