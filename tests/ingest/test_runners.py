"""Every runner gives the same bytes, and its errors keep their parts."""

import os
from pathlib import Path

import pytest

from mammo_core.errors import RecipeError, RunError, SourceError
from mammo_core.ingest import (
    ConvertConfig,
    Partition,
    RunnerConfig,
    convert,
    convert_partition,
    sample,
    sample_partition,
)
from mammo_core.ingest.runner import run
from mammo_core.preprocessing import Geometry
from mammo_core.sampling import SamplingConfig
from mammo_core.store import open_store
from tests.support.ingest import digests

CONFIG = ConvertConfig(geometry=Geometry(height=432, width=324), shard_mb=1)
SAMPLING = SamplingConfig(patch_size=24, lesion_patches=2, background_patches=2)
PRISM = Path(__file__).parents[2] / ".tools" / "bin" / "prism"
RUNNERS = {
    "one": RunnerConfig(workers=1),
    "two": RunnerConfig(workers=2),
    "threads": RunnerConfig(mode="threads", workers=3),
    "processes": RunnerConfig(mode="processes", workers=2),
    "prism": RunnerConfig(runner="prism", options=(f"--prism_location={PRISM}",)),
}
SLOW = {"processes"}  # each worker takes seconds to start


def runner_names(*names):
    return [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in names]


@pytest.fixture
def runner(request):
    if request.param == "prism" and not os.access(PRISM, os.X_OK):
        pytest.skip("no Prism: run `make prism` (needs Go)")
    return RUNNERS[request.param]


def arguments(source, runner):
    options = {"root": source.root, "config": CONFIG, "runner": runner, "lineage": {"tables": "t"}}
    return (source.images, source.lesions), options


def both(store, source, runner):
    tables, options = arguments(source, runner)
    images = convert(store, *tables, **options)
    return images, sample(store, images, SAMPLING, 1, runner)


@pytest.fixture(scope="module")
def reference(phantom_tables, tmp_path_factory):
    """The files made by one worker, in a folder."""
    store = open_store(str(tmp_path_factory.mktemp("reference")))
    images, patches = both(store, phantom_tables, RUNNERS["one"])
    assert len(images.files_like("shard-")) > 4 and patches.counts["patches"] > 50
    return digests(store, "")


@pytest.mark.parametrize(
    "runner", runner_names("two", "threads", "processes", "prism"), indirect=True
)
def test_the_runner_changes_no_byte(file_store, phantom_tables, reference, runner):
    both(file_store, phantom_tables, runner)
    assert digests(file_store, "") == reference


@pytest.mark.s3
@pytest.mark.parametrize("runner", runner_names("two", "processes"), indirect=True)
def test_a_bucket_changes_no_byte(s3_environment, phantom_tables, reference, runner):
    store = open_store(f"s3://mammo-runners/{os.urandom(8).hex()}")
    both(store, phantom_tables, runner)
    assert digests(store, "") == reference


@pytest.mark.parametrize("runner", runner_names("processes"), indirect=True)
def test_progress_of_other_processes_is_shown(file_store, phantom_tables, runner, capsys):
    tables, options = arguments(phantom_tables, runner)
    images = convert(file_store, *tables, **options)
    count = images.counts["images"]
    assert f"[convert] {count}/{count} images" in capsys.readouterr().out


def test_four_partitions_change_no_byte(file_store, phantom_tables, reference):
    tables, options = arguments(phantom_tables, RUNNERS["one"])
    for number in (3, 1, 0, 2):
        convert_partition(file_store, *tables, Partition(number, 4), **options)
    images = convert(file_store, *tables, **options)
    for number in (0, 2, 1, 3):
        sample_partition(file_store, images, SAMPLING, 1, Partition(number, 4), RUNNERS["one"])
    sample(file_store, images, SAMPLING, 1, RUNNERS["one"])
    assert digests(file_store, "") == reference


@pytest.mark.parametrize("runner", runner_names("processes", "prism"), indirect=True)
def test_an_error_keeps_its_parts(file_store, changeable, runner):
    name = changeable.images["path"].iloc[2]
    (changeable.root / name).write_bytes(b"changed")
    tables, options = arguments(changeable, runner)
    with pytest.raises(SourceError) as caught:
        convert(file_store, *tables, **options)
    assert caught.value.problem == f"The file {name} changed since it was indexed"
    assert "run the same command again" in caught.value.hint
    assert not [key for key in file_store.list("") if key.endswith("manifest.json")]


def test_runners_are_chosen_by_name(tmp_path, monkeypatch):
    flink = RunnerConfig(runner="flink", options=("--flink_master=host:8081",))
    assert flink.runner == RunnerConfig(runner="FlinkRunner").runner == "FlinkRunner"
    assert {"--runner=FlinkRunner", "--flink_master=host:8081"} <= set(flink.flags())
    assert "--direct_running_mode=multi_processing" in RUNNERS["processes"].flags()
    dask = RunnerConfig(runner="dask")
    assert dask.runner == RunnerConfig(runner="DaskRunner").runner
    assert dask.runner.endswith(".DaskRunner") and not dask.in_this_process
    with pytest.raises(ValueError, match="direct, prism, dask, or flink, spark, dataflow, which"):
        RunnerConfig(runner="sprak")
    with pytest.raises(ValueError, match="mode"):
        RunnerConfig(mode="fibers")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("MAMMO_PRISM", raising=False)
    with pytest.raises(RecipeError, match="make prism"):
        RunnerConfig(runner="prism").flags()


def test_an_engine_that_was_never_run_says_so_before_and_when_it_fails(capsys):
    options = ("--project=none",)  # Dataflow then misses a region and a folder

    def build(pipeline):
        import apache_beam as beam

        _ = pipeline | beam.Create([0])

    with pytest.raises(RunError, match="failed on DataflowRunner, which is untested") as caught:
        run(build, RunnerConfig(runner="dataflow", options=options))
    assert "direct, prism or dask" in caught.value.expected
    assert "DataflowRunner is untested" in capsys.readouterr().out
