import json

import pytest

from mammo_core.datasets import Manifest
from mammo_core.errors import RecipeError, SourceError
from mammo_core.recipes import load_recipe
from mammo_core.steps.base import StepContext, run_id_of, step
from mammo_core.steps.begin import begin
from mammo_core.steps.summary import assemble, summarize
from mammo_core.store import open_store


@pytest.fixture
def place(tmp_path):
    return open_store(f"file://{tmp_path}/store")


@pytest.fixture
def context(place):
    return StepContext("convert", "r1", place, load_recipe("phantom"))


def _manifest(id: str = "a") -> Manifest:
    return Manifest(kind="things", id=id, revision=1, config={}, files=(), counts={"images": 2})


@pytest.mark.parametrize(
    ("run_id", "kfp_run_id", "id"), [("mine", "k1", "mine"), ("", "k1", "k1"), ("mine", "", "mine")]
)
def test_a_run_has_its_name_or_the_id_of_kfp(run_id, kfp_run_id, id):
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
def test_an_id_that_is_no_folder_or_a_placeholder_is_an_error(run_id, kfp_run_id):
    with pytest.raises(RecipeError, match="run's id cannot be used"):
        run_id_of(run_id, kfp_run_id)


def test_output_is_made_once_and_then_found(context, place):
    made = []

    def make() -> Manifest:
        made.append(1)
        place.write(_manifest().key, _manifest().to_json().encode())
        return _manifest()

    assert context.find_or_make("things", "a", make) == _manifest()
    assert not context.found
    assert context.find_or_make("things", "a", make) == _manifest()
    assert context.found
    assert len(made) == 1


@pytest.mark.parametrize(("rejected", "fails"), [(0, False), (5, False), (6, True)])
def test_share_of_rejects(context, rejected, fails):
    if not fails:
        context.check_rejects(rejected, 100, "images", "rejects.parquet")
        assert context.rejects == rejected
        return
    with pytest.raises(SourceError, match=r"6 of 100 images.*5%.*rejects\.parquet"):
        context.check_rejects(rejected, 100, "images", "rejects.parquet")


def _status(place, name):
    return json.loads(place.read(f"runs/r1/steps/{name}.json"))


def test_step_writes_manifest_and_status(place, tmp_path):
    @step("make")
    def make(context: StepContext) -> Manifest:
        context.facts = {"auc": 1}
        return _manifest()

    told = make(store=place.uri, run_id="r1", recipe="phantom", out=str(tmp_path / "out" / "m"))
    assert told == {"id": "a", "found": False, "images": 2}
    status = _status(place, "make")
    assert status["state"] == "succeeded"
    assert status["output"] == "things/a/manifest.json"
    assert status["facts"] == {"auc": 1}

    @step("use")
    def use(context: StepContext, things: Manifest) -> Manifest:
        assert things == _manifest()
        return _manifest("b")

    use(
        store=place.uri,
        run_id="r1",
        recipe="phantom",
        out=str(tmp_path / "m2"),
        things=str(tmp_path / "out" / "m"),
    )


def test_input_fault_is_one_line_and_in_the_status(place, tmp_path, capsys):
    @step("fail")
    def fail(context: StepContext) -> Manifest:
        raise SourceError("The table is empty", expected="rows", received="none")

    with pytest.raises(SystemExit) as caught:
        fail(store=place.uri, run_id="r1", recipe="phantom", out=str(tmp_path / "m"))
    assert caught.value.code == 1
    assert "Traceback" not in capsys.readouterr().out
    assert _status(place, "fail")["state"] == "failed"
    assert _status(place, "fail")["error"] == "The table is empty. Expected rows. Received none."
    assert not (tmp_path / "m").exists()


def test_summary_of_a_failed_run_says_which_step_and_why(place):
    for started, name, state, more in (
        (1, "index", "succeeded", {"output": "tables/t1/manifest.json", "counts": {"images": 3}}),
        (2, "convert", "failed", {"error": "disk full"}),
    ):
        status = {"step": name, "state": state, "seconds": 1.5, "found": False, "rejects": 0}
        status["started"] = started
        data = json.dumps({**status, "facts": {}, **more}).encode()
        place.write(f"runs/r1/steps/{name}.json", data)
    summary = summarize(store=place.uri, run_id="r1", recipe="phantom", state="FAILED")
    assert summary["state"] == "failed"
    assert summary["errors"] == {"convert": "disk full"}
    assert summary["datasets"]["tables"]["id"] == "t1"
    assert summary["auc"] is None
    assert list(summary["seconds"].items()) == [("index", 1.5), ("convert", 1.5)]
    assert json.loads(place.read("runs/r1/summary.json")) == summary
    assert assemble(place, "r1", "phantom", "FAILED") == summary


def test_a_partition_of_a_step_has_a_status_of_its_own(place, tmp_path):
    @step("divide")
    def divide(context: StepContext, partition: str = "") -> Manifest:
        context.facts = {"partition": partition}
        return _manifest()

    common = {"store": place.uri, "run_id": "r1", "recipe": "phantom", "out": str(tmp_path / "m")}
    divide(**common, partition="1/4")
    divide(**common)
    assert _status(place, "divide-1-of-4")["facts"] == {"partition": "1/4"}
    assert _status(place, "divide")["facts"] == {"partition": ""}


@pytest.fixture
def make():
    @step("make")
    def make(context: StepContext) -> Manifest:
        context.facts = {"seed": context.recipe.seed}
        return _manifest()

    return make


def test_two_runs_of_kfp_do_not_share_a_record(place, tmp_path, make, capsys):
    common = {"store": place.uri, "recipe": "phantom", "out": str(tmp_path / "m")}
    make(**common, run_id="again", kfp_run_id="k1")
    make(**common, run_id="again", kfp_run_id="k1")  # a step that is tried again
    before = {key: place.read(key) for key in place.list("runs")}
    with pytest.raises(SystemExit):
        make(**common, run_id="again", kfp_run_id="k2")
    assert "run id again is taken" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        begin(store=place.uri, recipe="phantom", run_id="again", kfp_run_id="k2")
    with pytest.raises(RecipeError, match="run id again is taken"):
        summarize(store=place.uri, run_id="again", kfp_run_id="k2", recipe="phantom")
    assert {key: place.read(key) for key in place.list("runs")} == before


def test_runs_without_a_name_have_a_record_each(place, tmp_path, make):
    for kfp_run_id, seed in (("k1", 1), ("k2", 2)):
        identity = {"store": place.uri, "run_id": "", "kfp_run_id": kfp_run_id, "recipe": "phantom"}
        started = begin(**identity, settings=[f"seed={seed}"])
        make(**identity, recipe_digest=started.recipe_digest, out=str(tmp_path / kfp_run_id))
    seeds = [json.loads(place.read(f"runs/{id}/steps/make.json"))["facts"] for id in ("k1", "k2")]
    assert seeds == [{"seed": 1}, {"seed": 2}]


@pytest.mark.parametrize("change", ["another", "none"])
def test_a_step_whose_recipe_is_not_the_runs_fails(place, tmp_path, make, capsys, change):
    identity = {"store": place.uri, "run_id": "r1", "recipe": "phantom"}
    started = begin(**identity)
    if change == "another":
        begin(**identity, settings=["seed=99"])
    else:
        place.delete("runs/r1/recipe.json")
    with pytest.raises(SystemExit):
        make(**identity, recipe_digest=started.recipe_digest, out=str(tmp_path / "m"))
    out = capsys.readouterr().out
    assert "is not the one that the run began with" in out
    assert started.recipe_digest in out
    assert not (tmp_path / "m").exists()
