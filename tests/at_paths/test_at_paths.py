"""The steps as KFP calls them: paths of manifests, printed errors, exit codes."""

import pytest

from mammo_core import at_paths
from mammo_core.at_paths.shown import report_gpus
from mammo_core.datasets import Manifest, publish
from mammo_core.datasets.kinds import Facts, Kind
from mammo_core.errors import SourceError
from mammo_core.runs import Run
from mammo_core.steps.step import StepContext, step


class NoFacts(Facts):
    pass


THING = Kind("things", 1, NoFacts)


@pytest.fixture
def common(file_store):
    return {"store": file_store.uri, "run_id": "r1", "recipe": "phantom"}


def manifest(id="a"):
    return THING.manifest(id, config={}, counts={"images": 2}, facts=NoFacts())


@step("make")
def make(context: StepContext) -> Manifest:
    context.facts = {"seed": context.recipe.seed}
    return manifest()


@step("use")
def use(
    context: StepContext,
    things: list[Manifest],
    other: Manifest | None = None,
    name: str = "",
) -> Manifest:
    context.facts = {"things": [t.id for t in things], "other": other and other.id, "name": name}
    return manifest("b")


make_at_paths, use_at_paths = at_paths.with_paths(make), at_paths.with_paths(use)


def test_manifests_are_read_from_and_written_to_paths(common, file_store, tmp_path):
    out = tmp_path / "out" / "things"
    assert make_at_paths(**common, out=str(out)) == {"id": "a", "reused": False, "images": 2}
    assert out.read_text() == manifest().to_json()
    empty = tmp_path / "empty"
    empty.touch()
    for other, id in ((str(out), "a"), (str(empty), None), ("", None), (str(tmp_path / "x"), None)):
        inputs = {"things": [str(out)] * 2, "other": other, "name": "n"}
        use_at_paths(**common, **inputs, out=str(tmp_path / "used"))
        facts = Run(file_store, "r1").statuses()["use"]["facts"]
        assert facts == {"things": ["a", "a"], "other": id, "name": "n"}


def test_an_input_error_is_one_line_and_exit_code_1(common, file_store, tmp_path, capsys):
    @step("fail")
    def fail(context: StepContext) -> Manifest:
        raise SourceError("The table is empty", expected="rows", received="none")

    with pytest.raises(SystemExit) as caught:
        at_paths.with_paths(fail)(**common, out=str(tmp_path / "m"))
    assert caught.value.code == 1
    out = capsys.readouterr().out
    assert out == "[fail] error: The table is empty. Expected rows. Received none.\n"
    assert Run(file_store, "r1").statuses()["fail"]["state"] == "failed"
    assert not (tmp_path / "m").exists()


def test_an_unexpected_error_has_a_traceback(common, tmp_path, capsys):
    @step("fail")
    def fail(context: StepContext) -> Manifest:
        raise KeyError("x")

    with pytest.raises(SystemExit):
        at_paths.with_paths(fail)(**common, out=str(tmp_path / "m"))
    out = capsys.readouterr().out
    assert "Traceback" in out and out.endswith("[fail] error: KeyError: 'x'\n")


def test_two_runs_of_kfp_do_not_share_a_record(common, file_store, tmp_path, capsys):
    inputs = {**common, "run_id": "again", "out": str(tmp_path / "m")}
    make_at_paths(**inputs, kfp_run_id="k1")
    make_at_paths(**inputs, kfp_run_id="k1")  # a step that is retried
    before = {key: file_store.read(key) for key in file_store.list("runs")}
    with pytest.raises(SystemExit):
        make_at_paths(**inputs, kfp_run_id="k2")
    assert "run id again is taken" in capsys.readouterr().out
    del inputs["out"]
    with pytest.raises(SystemExit):
        at_paths.begin(**inputs, kfp_run_id="k2")
    with pytest.raises(SystemExit):
        at_paths.summarize(**inputs, kfp_run_id="k2")
    assert "[summarize] error: The run id again is taken" in capsys.readouterr().out
    assert {key: file_store.read(key) for key in file_store.list("runs")} == before


def test_runs_without_a_name_have_their_own_records(common, file_store, tmp_path):
    seeds = {}
    for kfp_run_id, seed in (("k1", 1), ("k2", 2)):
        identity = {**common, "run_id": "", "kfp_run_id": kfp_run_id}
        _, digest = at_paths.begin(**identity, settings=[f"seed={seed}"])
        make_at_paths(**identity, recipe_digest=digest, out=str(tmp_path / kfp_run_id))
        seeds[kfp_run_id] = Run(file_store, kfp_run_id).statuses()["make"]["facts"]["seed"]
    assert seeds == {"k1": 1, "k2": 2}


@pytest.mark.parametrize("change", ["another", "none"])
def test_a_step_whose_recipe_changed_fails(common, file_store, tmp_path, capsys, change):
    _, digest = at_paths.begin(**common)
    if change == "another":
        at_paths.begin(**common, settings=["seed=99"])
    else:
        Run(file_store, "r1").delete()
    with pytest.raises(SystemExit):
        make_at_paths(**common, recipe_digest=digest, out=str(tmp_path / "m"))
    out = capsys.readouterr().out
    assert "is not the one that the run began with" in out and digest in out
    assert not (tmp_path / "m").exists()


def test_a_page_is_copied_to_a_path(file_store, tmp_path):
    from mammo_core.datasets.manifests import put_bytes

    page = put_bytes(file_store, "things/a", "report.html", b"<html>")
    published = publish(file_store, manifest().model_copy(update={"files": (page,)}))
    at_paths.show_page(file_store.uri, published, str(tmp_path / "pages" / "report.html"))
    assert (tmp_path / "pages" / "report.html").read_bytes() == b"<html>"


@pytest.mark.parametrize("requested", ["", "0"])
def test_no_gpus_are_reported_if_none_were_requested(requested, capsys):
    assert report_gpus("gate", requested, "nvidia.com/gpu") == 0
    assert capsys.readouterr().out == ""


def test_missing_gpus_are_reported(capsys):
    available = report_gpus("train-image", "16", "nvidia.com/gpu")
    out = capsys.readouterr().out
    assert f"[train-image] {available} of 16 GPUs (nvidia.com/gpu)" in out
    assert "warning: 16 GPUs were requested" in out
