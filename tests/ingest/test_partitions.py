"""`--partition I/N`: the partitions of the planned shards together give the same as one run."""

import json
from dataclasses import replace

import pytest

from mammo_core.errors import RecipeError, SourceError
from mammo_core.ingest import (
    ConvertConfig,
    Partition,
    RunnerConfig,
    convert,
    convert_partition,
    sample,
    sample_partition,
)
from mammo_core.ingest.kinds import IMAGE_DATASET
from mammo_core.preprocessing import Geometry
from mammo_core.sampling import SamplingConfig
from mammo_core.store import open_store
from tests.support.ingest import digests, published_digests, without_attempts

CONFIG = ConvertConfig(geometry=Geometry(height=432, width=324), shard_mb=1)
SAMPLING = SamplingConfig(patch_size=24, lesion_patches=2, background_patches=2)
RUNNER = RunnerConfig(workers=1)


def options(source):
    return {"root": source.root, "config": CONFIG, "runner": RUNNER, "lineage": {"tables": "t"}}


def convert_one(store, source, text):
    partition = Partition.parse(text)
    return convert_partition(store, source.images, source.lesions, partition, **options(source))


def convert_all(store, source):
    return convert(store, source.images, source.lesions, **options(source))


def test_four_partitions_are_one_run(store, tmp_path, phantom_tables):
    plain = open_store(str(tmp_path / "plain"))
    images = convert_all(plain, phantom_tables)
    patches = sample(plain, images, SAMPLING, 1, RUNNER)
    assert len(images.files_like("shard-")) >= 4
    manifests = [convert_one(store, phantom_tables, f"{number}/4") for number in (2, 0, 3)]
    assert {manifest.id for manifest in manifests} == {images.id}
    assert IMAGE_DATASET.find(store, images.id) is None  # nothing is published
    # Partition 1 was not run: the run without a partition makes its shards.
    dataset = convert_all(store, phantom_tables)
    assert without_attempts(dataset) == without_attempts(images)
    for number in range(4):
        sample_partition(store, dataset, SAMPLING, 1, Partition(number, 4), RUNNER)
    again = sample(store, dataset, SAMPLING, 1, RUNNER)
    assert without_attempts(again) == without_attempts(patches)
    assert digests(store, "") == digests(plain, "")


def test_a_finished_shard_is_not_made_again(file_store, changeable):
    other = convert_one(file_store, changeable, "0/2").files[0].key
    before = (file_store.root / other).stat().st_mtime_ns
    items = changeable.images.sort_values("image_id")
    removed = changeable.root / items["path"].iloc[0]  # the first shard's first image
    removed.unlink()
    convert_all(file_store, changeable)
    assert (file_store.root / other).stat().st_mtime_ns == before


@pytest.mark.parametrize("how", ["flipped", "short", "missing", "note"])
def test_a_damaged_shard_is_made_again(file_store, phantom_tables, tmp_path, how):
    file = convert_one(file_store, phantom_tables, "0/2").files[0]
    path = file_store.root / file.key
    data = bytearray(path.read_bytes())
    if how == "flipped":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif how == "short":
        path.write_bytes(data[:-100])
    elif how == "missing":
        path.unlink()
    else:
        (path.parents[1] / "notes" / "shard-00000.json").write_text("{half")
    convert_all(file_store, phantom_tables)
    plain = open_store(str(tmp_path / "plain"))
    convert_all(plain, phantom_tables)
    assert published_digests(file_store) == digests(plain, "")


def test_shards_of_another_plan_are_not_reused(file_store, phantom_tables, tmp_path):
    """The size of shards is not part of the id, so a shard is checked against the plan."""
    convert_one(file_store, phantom_tables, "0/1")
    larger = {**options(phantom_tables), "config": CONFIG.model_copy(update={"shard_mb": 2})}
    stores = (file_store, open_store(str(tmp_path / "plain")))
    first, second = (
        convert(store, phantom_tables.images, phantom_tables.lesions, **larger) for store in stores
    )
    assert without_attempts(first) == without_attempts(second)


def test_more_partitions_than_shards(file_store, phantom_tables):
    few = replace(phantom_tables, images=phantom_tables.images[:1])
    assert convert_one(file_store, few, "7/9").counts == {"shards": 0, "images": 0}
    assert convert_one(file_store, few, "0/9").counts == {"shards": 1, "images": 1}


@pytest.mark.parametrize("text", ["", "1", "4/4", "-1/4", "0/0", "a/b", "1/4/2", "1.0/4"])
def test_an_invalid_partition_is_refused(text):
    with pytest.raises(RecipeError, match="0 to N - 1"):
        Partition.parse(text)


def test_an_error_in_a_partition_is_raised(file_store, changeable):
    (changeable.root / changeable.images["path"].iloc[0]).write_bytes(b"changed")
    with pytest.raises(SourceError, match="changed since it was indexed"):
        convert_one(file_store, changeable, "0/1")


def test_partitions_by_the_command_line(tmp_path, phantom_tables, monkeypatch, capfd):
    from typer.testing import CliRunner

    from mammo_core.cli import create_app

    store = open_store(str(tmp_path / "store"))
    line = ["--recipe", "phantom", "--store", store.uri, "--source", str(phantom_tables.root)]
    for setting in ("height=96", "width=72"):
        line += ["--set", f"convert.geometry.{setting}"]
    line += ["--set", "sampling.patch_size=24", "--set", "convert.shard_mb=1"]

    def run(*words):
        done = CliRunner().invoke(create_app(), [*words, *line])
        assert done.exit_code == 0, done.output
        return json.loads(done.output.splitlines()[-1])

    first = run("convert", "--partition", "0/2", "--run-id", "r")
    assert (first["shards"], first["reused"]) == (1, False)
    assert run("convert", "--partition", "1/2")["shards"] == 0
    assert not [key for key in store.list("datasets") if key.endswith("manifest.json")]
    assert json.loads(store.read("runs/r/steps/convert-0-of-2.json"))["partition"] == "0/2"
    complete = run("convert")
    assert complete["id"] == first["id"] and complete["images"] == len(phantom_tables.images)
    assert run("convert", "--partition", "0/2")["reused"]
    assert run("sample", "--partition", "0/1")["shards"] == 1
    assert run("sample")["patches"] > 0
    wrong = CliRunner().invoke(create_app(), ["convert", "--partition", "2/2", *line])
    assert isinstance(wrong.exception, RecipeError)
