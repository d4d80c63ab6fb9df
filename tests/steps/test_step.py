"""The declaration of steps: reuse, leases, rejects, status and errors."""

import threading

import pytest

from mammo_core.datasets import Manifest
from mammo_core.datasets.kinds import Facts, Kind
from mammo_core.datasets.outputs import Draft
from mammo_core.errors import RunError, SourceError
from mammo_core.recipes import load_recipe
from mammo_core.runs import Run
from mammo_core.steps.step import StepContext, step


class NoFacts(Facts):
    pass


THING = Kind("things", 1, NoFacts)


def manifest(id="a"):
    return THING.manifest(id, config={}, counts={"images": 2}, facts=NoFacts())


@pytest.fixture
def run(file_store):
    record = Run(file_store, "r1")
    record.write_recipe(load_recipe("phantom"))
    return record


@pytest.fixture
def context(run):
    return StepContext("convert", run, load_recipe("phantom"))


def test_an_output_is_made_once_and_then_reused(context, file_store, capsys):
    calls = []

    def make(attempt):
        calls.append(1)
        assert attempt.folder(manifest().folder) and not THING.find(file_store, "a")
        return Draft(manifest(), finish=calls.append)

    assert context.reuse_or_make(THING, "a", make) == manifest()
    assert not context.reused
    assert context.reuse_or_make(THING, "a", make) == manifest()
    assert context.reused and calls == [1, manifest()]
    assert THING.find(file_store, "a") == manifest()
    assert "[convert] reusing things/a" in capsys.readouterr().out


def test_of_two_equal_steps_the_second_waits_and_reuses(run, file_store):
    started, finish = threading.Event(), threading.Event()
    calls = []

    @step("make")
    def make_thing(context: StepContext) -> Manifest:
        def make(attempt):
            calls.append(1)
            started.set()
            assert finish.wait(30)
            return Draft(manifest())

        return context.reuse_or_make(THING, "a", make)

    results = []

    def execute(run_id):
        record = Run(file_store, run_id)
        results.append((run_id, make_thing.execute(record, recipe="phantom").reused))

    first = threading.Thread(target=execute, args=("first",))
    first.start()
    assert started.wait(30)
    second = threading.Thread(target=execute, args=("second",))
    second.start()
    second.join(0.3)
    assert second.is_alive()  # it waits for the lease
    finish.set()
    first.join(30)
    second.join(30)
    assert sorted(results) == [("first", False), ("second", True)] and calls == [1]


def test_a_part_of_an_output_is_not_published(context, file_store):
    part = context.reuse_or_make(THING, "a", lambda attempt: Draft(manifest(), partial=True))
    assert part == manifest() and THING.find(file_store, "a") is None
    assert not context.reused


def test_an_output_that_is_published_stays_as_it_is(context, file_store):
    """Two sources can have the same tables: their digests differ, and the content does not."""
    first = manifest().model_copy(update={"lineage": {"from": "first"}})
    second = manifest().model_copy(update={"lineage": {"from": "second"}})
    drafts = iter([Draft(first), Draft(second)])
    for _ in range(2):
        assert first == context.search_or_make(
            "things/of-x", lambda: None, lambda attempt: next(drafts)
        )
    assert THING.find(file_store, "a") == first


@pytest.mark.parametrize(("rejected", "fails"), [(0, False), (5, False), (6, True)])
def test_too_many_rejects_fail_a_step(context, rejected, fails):
    if not fails:
        context.require_few_rejects(rejected, 100, "images", "rejects.parquet")
        assert context.rejects == rejected
        return
    with pytest.raises(SourceError, match=r"6 of 100 images.*5%.*rejects\.parquet"):
        context.require_few_rejects(rejected, 100, "images", "rejects.parquet")


def test_a_step_takes_manifests_and_returns_one(run):
    @step("make")
    def make(context: StepContext) -> Manifest:
        assert run.statuses()["make"]["state"] == "running"
        context.facts = {"seed": context.recipe.seed}
        return manifest()

    @step("use")
    def use(context: StepContext, things: Manifest) -> Manifest:
        assert things == manifest()
        return manifest("b")

    assert use(run, things=make(run)) == manifest("b")
    status = run.statuses()["make"]
    assert status["state"] == "succeeded"
    assert status["output"] == "things/a/manifest.json"
    assert status["counts"] == {"images": 2}
    assert status["facts"] == {"seed": load_recipe("phantom").seed}
    assert make.execute(run).metadata == {"id": "a", "reused": False, "images": 2}


def test_an_error_is_recorded_and_raised(run):
    @step("fail")
    def fail(context: StepContext, how: str = "") -> Manifest:
        if how == "exit":
            raise SystemExit("unknown option --x")
        if how == "memory":
            raise MemoryError
        raise SourceError("The table is empty", expected="rows", received="none")

    with pytest.raises(SourceError):
        fail(run)
    status = run.statuses()["fail"]
    assert status["state"] == "failed" and "output" not in status
    assert status["error"] == "The table is empty. Expected rows. Received none."
    with pytest.raises(SystemExit):
        fail(run, how="exit")
    assert run.statuses()["fail"]["error"] == "SystemExit: unknown option --x"
    with pytest.raises(MemoryError):
        fail(run, how="memory")
    assert run.statuses()["fail"]["error"].startswith("Out of memory.")


def test_each_partition_and_member_has_its_own_status(run):
    @step("divide")
    def divide(context: StepContext, member: str = "") -> Manifest:
        context.facts = {"partition": str(context.partition), "member": member}
        return manifest()

    divide(run, partition="1/4")
    divide(run, member="vgg")
    divide(run)
    statuses = run.statuses()
    assert set(statuses) == {"divide-1-of-4", "divide-vgg", "divide"}
    assert statuses["divide-1-of-4"]["partition"] == "1/4"
    assert "output" not in statuses["divide-1-of-4"]  # a partition publishes nothing
    assert statuses["divide-vgg"]["facts"] == {"partition": "None", "member": "vgg"}


def test_a_step_without_a_recipe_has_none(file_store):
    @step("score", has_recipe=False)
    def score(context: StepContext) -> Manifest:
        with pytest.raises(RunError, match="score has no recipe"):
            context.recipe  # noqa: B018
        return manifest()

    assert score(Run(file_store, "r2")) == manifest()


def test_a_run_whose_recipe_changed_fails_its_steps(run):
    @step("make")
    def make(context: StepContext) -> Manifest:
        return manifest()

    digest = run.write_recipe(load_recipe("phantom"))
    assert make(run, recipe_digest=digest) == manifest()
    run.write_recipe(load_recipe("phantom", ["seed=99"]))
    with pytest.raises(RunError, match="is not the one that the run began with"):
        make(run, recipe_digest=digest)
    assert digest in run.statuses()["make"]["error"]
