import json

import pytest

from mammo_core.datasets import Manifest
from mammo_core.errors import SourceError
from mammo_core.recipes import load_recipe
from mammo_core.steps.base import StepContext, run_id_of, step
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
    ("told", "id"), [("mine@kfp", "mine"), ("@kfp", "kfp"), ("mine", "mine"), ("mine@", "mine")]
)
def test_run_id(told, id):
    assert run_id_of(told) == id


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

    told = make(store=place.uri, run_id="r1@x", recipe="phantom", out=str(tmp_path / "out" / "m"))
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
    summary = summarize(store=place.uri, run_id="r1@k", recipe="phantom", state="FAILED")
    assert summary["state"] == "failed"
    assert summary["errors"] == {"convert": "disk full"}
    assert summary["datasets"]["tables"]["id"] == "t1"
    assert summary["auc"] is None
    assert list(summary["seconds"].items()) == [("index", 1.5), ("convert", 1.5)]
    assert json.loads(place.read("runs/r1/summary.json")) == summary
    assert assemble(place, "r1", "phantom", "FAILED") == summary


def test_a_part_of_a_step_has_a_status_of_its_own(place, tmp_path):
    @step("divide")
    def divide(context: StepContext, shard: str = "") -> Manifest:
        context.facts = {"shard": shard}
        return _manifest()

    common = {"store": place.uri, "run_id": "r1", "recipe": "phantom", "out": str(tmp_path / "m")}
    divide(**common, shard="1/4")
    divide(**common)
    assert _status(place, "divide-1-of-4")["facts"] == {"shard": "1/4"}
    assert _status(place, "divide")["facts"] == {"shard": ""}
