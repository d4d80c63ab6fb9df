"""`mammo store gc` and `mammo store verify`: what is kept, removed and reported."""

import io
import json
import os
import time

import pytest
from typer.testing import CliRunner

from mammo_core.cli.store import app
from mammo_core.datasets import Manifest, publish
from mammo_core.datasets.manifests import put_bytes
from mammo_core.errors import RecordError, StoreError
from mammo_core.runs.garbage import find_garbage
from mammo_core.runs.removal import remove_garbage
from mammo_core.store import open_store
from tests.support.registry_fixtures import put_version

DAY = 24 * 3600.0


def id_of(number):
    return f"{number:032x}"


def output(store, kind, number, lineage=(), files=(), data=b"bytes"):
    """Publish an output with one new file and files of other outputs."""
    folder = f"{kind}/{id_of(number)}"
    new = put_bytes(store, folder, f"shard-{number:05d}", data)
    manifest = Manifest(
        kind=kind,
        id=id_of(number),
        revision=1,
        config={},
        files=(new, *files),
        lineage={f"input{n}": id_of(n) for n in lineage},
    )
    return publish(store, manifest)


def version(store, number, ids, name="m", published=True):
    lineage = {"any": {"deep": [*map(id_of, ids)]}}
    store.write(f"models/{name}/claims/{number}", b"{}")
    if published:
        put_version(store, name, number, lineage, "x")
    else:
        store.write(f"models/{name}/{number}/lineage.json", json.dumps(lineage).encode())


def age(store, seconds, prefix=""):
    then = time.time() - seconds
    for key in store.list(prefix):
        os.utime(store.root / key, (then, then))


def referred(store):
    from mammo_core.registry.references import referred_ids

    return referred_ids(store)


def names(store, **options):
    return {
        item.name: item.reason for item in find_garbage(store, referred(store), **options).garbage
    }


def test_lineage_of_registered_versions_and_frames_is_kept(store):
    output(store, "tables", 1)
    output(store, "datasets/images", 2, lineage=[1])
    output(store, "datasets/patches", 3, lineage=[1, 2])
    output(store, "trainings/patch", 4, lineage=[3])
    output(store, "evaluations", 5, lineage=[4])
    output(store, "gates", 6)
    store.write(  # its decision
        f"gates/{id_of(6)}/manifest.json",
        Manifest(
            kind="gates", id=id_of(6), revision=1, config={}, files=(),
            lineage={"evaluation": id_of(5)},
        ).to_json().encode(),
    )  # fmt: skip
    version(store, 1, [5])  # an old version, not the champion
    output(store, "tables", 11)
    output(store, "datasets/images", 12, lineage=[11])
    output(store, "frames", 13, lineage=[12])
    output(store, "datasets/patches", 14, lineage=[12])
    output(store, "evaluations", 15, lineage=[14])
    validation = Manifest(
        kind="validations", id=id_of(16), revision=1, config={}, files=(),
        lineage={"frame": id_of(13)},
    )  # fmt: skip
    publish(store, validation)  # why the frame was trained on
    report = find_garbage(store, referred(store))
    assert {item.name for item in report.garbage} == {
        f"datasets/patches/{id_of(14)}",
        f"evaluations/{id_of(15)}",
    }
    removed = remove_garbage(store, report)
    assert len(removed) == 2 and find_garbage(store, referred(store)).garbage == []
    assert not [key for key in store.list("") if id_of(14) in key or id_of(15) in key]
    assert len(list(store.list("datasets/patches/"))) == 2


def test_results_are_kept_and_lineage_can_contain_several_ids(file_store):
    for number in (1, 2, 3):
        output(file_store, "trainings/image", number)
    members = {"members": f"{id_of(1)},{id_of(2)}", "model": "m"}
    scores = Manifest(kind="scores", id=id_of(9), revision=1, config={}, files=(), lineage=members)
    publish(file_store, scores)
    publish(file_store, scores.model_copy(update={"kind": "experiments", "id": id_of(10)}))
    assert names(file_store) == {f"trainings/image/{id_of(3)}": "nothing refers to it"}


def test_files_that_another_manifest_lists_are_kept(file_store):
    old = output(file_store, "datasets/images", 1)
    new = output(file_store, "datasets/images", 2, files=old.files)
    output(file_store, "frames", 3, lineage=[2])
    report = find_garbage(file_store, [])
    (item,) = report.garbage
    assert item.keys == (old.key,)
    remove_garbage(file_store, report)
    assert file_store.read(old.files[0].key) == b"bytes" and file_store.exists(new.key)
    assert find_garbage(file_store, []).garbage == []  # still listed, however old
    age(file_store, 2 * DAY)
    assert find_garbage(file_store, []).garbage == []


def test_unpublished_data_is_kept_for_a_day_and_while_it_is_written(file_store):
    folder = f"datasets/images/{id_of(1)}"
    file_store.write(f"{folder}/shard-00000.tfrecord", b"x")
    file_store.write(f"{folder}/notes/shard-00000.json", b"{}")
    version(file_store, 4, [], published=False)
    assert names(file_store) == {}
    age(file_store, 0.9 * DAY)
    assert names(file_store) == {}
    age(file_store, 1.1 * DAY)
    assert names(file_store) == {folder: "never published", "models/m/4": "never published"}
    assert names(file_store, grace_s=2 * DAY) == {}
    with file_store.lease(folder):
        assert names(file_store) == {"models/m/4": "never published"}
    file_store.write(f"{folder}/shard-00001.tfrecord", b"x")  # it continues
    assert names(file_store) == {"models/m/4": "never published"}


@pytest.mark.s3
def test_a_lease_on_s3_is_respected(s3_environment):
    s3_store = open_store(f"s3://mammo-tests/{time.time_ns()}")
    folder = f"datasets/images/{id_of(1)}"
    s3_store.write(f"{folder}/shard-00000.tfrecord", b"x")
    later = time.time() + 2 * DAY
    assert len(find_garbage(s3_store, [], now=later).garbage) == 1
    with s3_store.lease(folder):
        assert find_garbage(s3_store, [], now=later).garbage == []
    remove_garbage(s3_store, find_garbage(s3_store, [], now=later))
    assert list(s3_store.list("")) == []


def test_leftovers_of_published_outputs_and_of_killed_writers(file_store):
    manifest = output(file_store, "frames", 1)
    file_store.write(f"{manifest.folder}/shard-00099", b"of another plan")
    part = file_store.root / manifest.folder / ".part-1-abc"
    part.write_bytes(b"half")
    assert names(file_store) == {}
    age(file_store, 2 * DAY)
    os.utime(part, (time.time() - 2 * DAY,) * 2)
    assert names(file_store) == {
        manifest.folder: "left over",
        f"{manifest.folder}/.part-1-abc": "partly written",
    }
    remove_garbage(file_store, find_garbage(file_store, []))
    assert not part.exists() and len(list(file_store.list(""))) == 2


def test_outputs_of_a_run_in_progress_are_kept(file_store):
    manifest = output(file_store, "datasets/patches", 1)
    status = json.dumps({"state": "succeeded", "output": manifest.key}).encode()
    file_store.write("runs/r/steps/sample.json", status)
    assert names(file_store) == {}
    file_store.write("runs/r/summary.json", b"{}")
    assert names(file_store) == {manifest.folder: "nothing refers to it"}
    file_store.delete("runs/r/summary.json")
    age(file_store, 2 * DAY, "runs")  # it died
    assert names(file_store) == {manifest.folder: "nothing refers to it"}


def test_an_output_that_comes_into_use_is_kept(file_store):
    first, second, third = (output(file_store, "datasets/images", n) for n in (1, 2, 3))
    report = find_garbage(file_store, [])
    assert len(report.garbage) == 3
    note = json.dumps({"base": id_of(1)}).encode()
    file_store.write(f"datasets/images/{id_of(9)}/notes/base.json", note)
    output(file_store, "frames", 4, lineage=[2])
    items = []
    removed = remove_garbage(file_store, report, lambda *item: items.append(item))
    assert [item.output for item in removed] == [id_of(3)]
    assert [obstacle for _, obstacle in items] == ["another process uses it"] * 2 + [""]
    assert file_store.exists(first.key) and file_store.exists(second.key)
    assert not file_store.exists(third.key)
    # The note alone keeps it, for a day.
    assert names(file_store) == {}


def test_memos_of_removed_outputs_are_removed(file_store):
    output(file_store, "frames", 1)
    file_store.write("frames/memos/aa.json", json.dumps({"frame": id_of(1)}).encode())
    file_store.write("tables/memos/bb.json", json.dumps({"tables": id_of(7)}).encode())
    age(file_store, 2 * DAY)
    assert names(file_store) == {"tables/memos/bb.json": "names an output that is gone"}


def test_files_of_users_are_never_removed(file_store):
    kept = [f"in/{id_of(1)}/x.dcm", f"in/{id_of(1)}/manifest.json", "tables.csv", "runs/r/log"]
    kept += [f"features/main/{id_of(2)}/part.parquet", f"deep/er/still/{id_of(3)}/x"]
    for key in kept:
        file_store.write(key, b"mine")
    age(file_store, 9 * DAY)
    assert names(file_store) == {}


@pytest.mark.parametrize("how", ["damaged", "newer"])
def test_an_unreadable_manifest_stops_the_search(file_store, how):
    manifest = output(file_store, "frames", 1)
    text = manifest.to_json()
    text = (
        text[:-20]
        if how == "damaged"
        else text.replace('"schema_version": 2', '"schema_version": 3')
    )
    file_store.write(manifest.key, text.encode())
    with pytest.raises(RecordError, match=manifest.key):
        find_garbage(file_store, [])


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_command_line_starts_with_a_dry_run(file_store):
    manifest = output(file_store, "datasets/patches", 1)
    done = run("gc", file_store.uri)
    assert done.exit_code == 0 and f"would remove {manifest.folder}" in done.output
    assert run("gc", file_store.uri, "--dry-run").output == done.output
    document = json.loads(run("gc", file_store.uri, "--json").output)
    assert document["dry_run"] and [item["name"] for item in document["removed"]] == [
        manifest.folder
    ]
    assert file_store.exists(manifest.key)
    assert f"removed {manifest.folder}" in run("gc", file_store.uri, "--apply").output
    assert list(file_store.list("")) == []
    assert json.loads(run("gc", file_store.uri, "--json").output)["removed"] == []


def test_verify_reads_every_file_again(store):
    output(store, "tables", 1)
    image = output(store, "datasets/images", 2)
    done = run("verify", store.uri)
    assert done.exit_code == 0 and "2 outputs, 4 files" in done.output
    key = image.files[0].key
    if store.uri.startswith("file:"):
        path = store.root / key
        path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    else:
        store._client.put_object(
            "mammo-tests", store._name(key), io.BytesIO(b"cytes"), 5,
            metadata={"sha256": image.files[0].sha256},
        )  # fmt: skip
    done = run("verify", store.uri, "--json")
    document = json.loads(done.output.splitlines()[0])
    assert [fault["key"] for fault in document["faults"]] == [key]
    assert isinstance(done.exception, RecordError) and key in str(done.exception)
    store.delete(key)
    (fault,) = json.loads(run("verify", store.uri, "--json").output.splitlines()[0])["faults"]
    assert fault["key"] == key and "missing" in fault["problem"]


def test_verify_reports_manifests(file_store):
    manifest = output(file_store, "tables", 1)
    newer = manifest.to_json().replace('"schema_version": 2', '"schema_version": 7')
    file_store.write(manifest.key, newer.encode())
    (fault,) = json.loads(run("verify", file_store.uri, "--json").output.splitlines()[0])["faults"]
    assert fault["key"] == manifest.key and "another schema version" in fault["problem"]


@pytest.mark.parametrize("command", ["ls", "verify", "gc"])
def test_a_missing_store_is_an_error(tmp_path, command):
    done = run(command, tmp_path / "none")
    assert isinstance(done.exception, StoreError) and "There is no store" in str(done.exception)


@pytest.mark.s3
@pytest.mark.parametrize("command", ["ls", "verify", "gc"])
def test_a_missing_bucket_is_an_error(s3_environment, command):
    done = run(command, "s3://mammo-no-such-bucket/x")
    assert isinstance(done.exception, StoreError)
    assert "mammo-no-such-bucket" in str(done.exception)
