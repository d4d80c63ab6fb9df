"""The record of a run: ids, recipe, statuses, summary, and nobody else's keys."""

import hashlib
import json

import pytest

from mammo_core.errors import RecipeError, RunError
from mammo_core.recipes import load_recipe
from mammo_core.runs import Run, read_start_packages, run_id_of, start_packages_of, summarize


@pytest.fixture
def run(file_store):
    return Run(file_store, "r1")


@pytest.mark.parametrize(
    ("run_id", "kfp_run_id", "id"), [("mine", "k1", "mine"), ("", "k1", "k1"), ("mine", "", "mine")]
)
def test_the_id_is_the_name_or_the_id_of_kfp(run_id, kfp_run_id, id):
    assert run_id_of(run_id, kfp_run_id) == id


@pytest.mark.parametrize(
    ("run_id", "kfp_run_id"),
    [
        ("", "{{$.pipeline_job_uuid}}"),  # what KFP 2.17's driver leaves inside a longer text
        ("{{workflow.uid}}", "k1"),
        ("a{b}", ""),
        ("", ""),
        ("../r1", ""),
        ("a/b", ""),
        (" r1", ""),
        ("r1\n", ""),
    ],
)
def test_an_id_that_is_not_a_folder_name_or_is_a_placeholder_is_refused(run_id, kfp_run_id):
    with pytest.raises(RecipeError, match="run id is not valid"):
        run_id_of(run_id, kfp_run_id)


def test_a_record_belongs_to_one_run_of_kfp(file_store):
    assert Run.open(file_store, "again", "k1").id == "again"
    Run.open(file_store, "again", "k1")  # a step that is retried
    Run.open(file_store, "again")  # outside of KFP
    with pytest.raises(RunError, match=r"run id again is taken.*'k1'"):
        Run.open(file_store, "again", "k2")
    with pytest.raises(RunError, match=r"run id again is taken.*'k1'"):
        Run(file_store, "again").delete()  # what a run on this machine would begin with
    assert Run.open(file_store, "again", "k1").id == "again"


def test_a_record_of_this_machine_is_deleted_and_not_taken_over(file_store):
    run = Run.open(file_store, "mine", "20261129")  # the ids of KFP's local runner
    run.write_status("index", "succeeded", 0.0)
    run.delete()
    assert list(file_store.list("runs/mine")) == []
    run.write_status("convert", "succeeded", 0.0)  # `mammo convert` has no id of KFP
    with pytest.raises(RunError, match="a run outside of Kubeflow Pipelines"):
        Run.open(file_store, "mine", "k1")


def test_the_recipe_is_read_back_and_compared_with_its_digest(run):
    assert not run.has_recipe and run.recipe_name("phantom") == "phantom"
    assert run.recipe("phantom").name == "phantom"  # no resolved one: the reference
    recipe = load_recipe("phantom", ["seed=7"])
    digest = run.write_recipe(recipe)
    assert digest == hashlib.sha256(recipe.to_json().encode()).hexdigest()
    assert run.recipe("another name", digest) == recipe == load_recipe(run.recipe_uri)
    with pytest.raises(RunError, match="not the one that the run began with"):
        run.recipe(digest="0" * 64)
    run.delete()
    with pytest.raises(RunError, match="Received no recipe"):
        run.recipe("phantom", digest)
    assert run.recipe_name("nothing") == "nothing"  # the recipe itself is at fault
    with pytest.raises(RecipeError):
        run.recipe("nothing")


def test_statuses_are_in_the_order_of_their_start(run):
    run.write_status("convert", "failed", 20.0, error="disk full")
    run.write_status("index", "succeeded", 10.0, reused=True, counts={"images": 3})
    assert list(run.statuses()) == ["index", "convert"]
    index = run.statuses()["index"]
    assert (index["state"], index["reused"], index["rejects"], index["facts"]) == (
        *("succeeded", True, 0, {}),
    )
    assert run.statuses()["convert"]["error"] == "disk full"


def test_a_status_of_a_later_attempt_is_kept(run):
    assert run.write_status("index", "running", 10.0, attempt="a")
    assert run.write_status("index", "running", 20.0, attempt="b")  # "a" was paused meanwhile
    assert not run.write_status("index", "failed", 10.0, attempt="a", begins=False, error="lost")
    assert run.write_status("index", "succeeded", 20.0, attempt="b", begins=False)
    assert not run.write_status("index", "succeeded", 10.0, attempt="a", begins=False)
    status = run.statuses()["index"]
    assert (status["state"], status["attempt"], status["started"]) == ("succeeded", "b", 20.0)


def test_the_summary_shows_which_step_failed_and_why(run):
    output = {"output": "tables/t1/manifest.json", "counts": {"images": 3}}
    run.write_status("index", "succeeded", 1.0, reused=True, **output)
    run.write_status("convert", "failed", 2.0, error="disk full")
    summary = summarize(run, "phantom", "FAILED")
    assert summary["state"] == "failed"
    assert summary["errors"] == {"convert": "disk full"}
    assert summary["datasets"]["tables"] == {
        **{"id": "t1", "counts": {"images": 3}, "rejects": 0, "reused": True}
    }
    assert summary["reused"] == {"index": True, "convert": False}
    assert summary["auc"] is None and summary["report"] is None
    assert list(summary["seconds"]) == ["index", "convert"]
    run.write_summary(summary)
    assert run.summary() == summary
    assert Run(run.store, "other").summary() == {}


def test_the_summary_reads_the_record_of_its_run_alone(run, monkeypatch):
    """The role that summarizes may not read evaluations, where the report is."""
    key = "evaluations/e1/a/report.html"
    output = {"output": "evaluations/e1/manifest.json", "counts": {}}
    run.write_status("evaluate", "succeeded", 1.0, facts={"auc": 0.9, "report": key}, **output)
    read_keys = []
    for name in ("read", "exists", "entry", "state", "fetch"):
        method = getattr(type(run.store), name)

        def call(store, key, *rest, method=method):
            read_keys.append(key)
            return method(store, key, *rest)

        monkeypatch.setattr(type(run.store), name, call)
    assert summarize(run)["report"] == key
    assert read_keys and all(key.startswith(f"runs/{run.id}/") for key in read_keys)


def test_a_partition_that_failed_is_no_error_once_the_step_succeeded(run):
    run.write_status("convert-0-of-2", "failed", 1.0, partition="0/2", error="killed")
    assert summarize(run)["errors"] == {"convert-0-of-2": "killed"}
    run.write_status(
        "convert", "succeeded", 2.0, counts={}, output="datasets/images/i/manifest.json"
    )
    summary = summarize(run, state="SUCCEEDED")
    assert (summary["errors"], summary["state"]) == ({}, "succeeded")


@pytest.mark.parametrize(
    ("reported", "state"),
    [
        # What Kubeflow Pipelines 2.17 tells an exit handler: tests/pipelines/recordings.
        ("COMPLETE", "succeeded"),
        ("FAILED", "failed"),
        ("RUNNING", "terminated"),
        # What its local runner says, and what an earlier summary said.
        ("SUCCEEDED", "succeeded"),
        ("terminated", "terminated"),
        ("", "unknown"),
    ],
)
def test_the_summary_says_how_the_run_ended(run, reported, state):
    run.write_status("index", "succeeded", 1.0, counts={}, output="tables/t1/manifest.json")
    assert summarize(run, "phantom", reported)["state"] == state


def test_a_step_that_was_killed_without_a_word_is_an_error(run):
    run.write_status("index", "succeeded", 1.0, counts={}, output="tables/t1/manifest.json")
    run.write_status("train-patch", "running", 2.0)
    summary = summarize(run, state="FAILED")
    assert summary["state"] == "failed"
    assert list(summary["errors"]) == ["train-patch"]
    assert "killed without a word" in summary["errors"]["train-patch"]
    # A pipeline that reports success for a container that was killed is not believed.
    assert summarize(run, state="SUCCEEDED")["state"] == "failed"


def test_termination_ends_steps_and_is_no_error_of_theirs(run):
    run.write_status("validate-data", "failed", 1.0, error="not alike")
    run.write_status("train-patch", "running", 2.0)
    summary = summarize(run, state="RUNNING")
    assert (summary["state"], summary["errors"]) == ("terminated", {"validate-data": "not alike"})


def test_the_networks_of_an_ensemble_are_named(run):
    assert run.member_names() == []
    run.write_recipe(load_recipe("phantom", ["members=[{name: a}, {name: b}]"]))
    assert run.member_names() == ["a", "b"]


def test_start_packages_of_a_recipe_and_of_a_stored_run(run):
    members = "members=[{name: a}, {name: b, image_training: {start: 's3://m/models/b'}}]"
    recipe = load_recipe("phantom", ["image_training.start=s3://m/models/a", members])
    assert start_packages_of(recipe) == ["s3://m/models/a", "s3://m/models/b"]
    run.write_recipe(recipe)
    assert read_start_packages(run.store, "r1") == ["s3://m/models/a", "s3://m/models/b"]
    # A recipe of another version has keys that this one does not know.
    values = {**json.loads(recipe.to_json()), "unknown": 1}
    run.store.write("runs/r2/recipe.json", json.dumps(values).encode())
    assert read_start_packages(run.store, "r2") == ["s3://m/models/a", "s3://m/models/b"]
    assert start_packages_of(load_recipe("phantom")) == []
    assert read_start_packages(run.store, "none") == read_start_packages(run.store, "") == []
