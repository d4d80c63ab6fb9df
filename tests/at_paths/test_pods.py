"""What a pod does: its steps in forks, bundles of manifests, and what is left to release."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from mammo_core.at_paths.bundles import read_bundle, write_bundle
from mammo_core.at_paths.pod import Pod
from mammo_core.datasets import Manifest
from mammo_core.datasets.kinds import Facts, Kind
from mammo_core.errors import SourceError
from mammo_core.processes import call_in_fork, lighter_batch, works_lighter
from mammo_core.runs import Run
from mammo_core.steps import step as steps_module
from mammo_core.steps.step import StepContext, step


class NoFacts(Facts):
    pass


THING = Kind("things", 1, NoFacts)


def thing(id="a"):
    return THING.manifest(id, config={}, counts={"images": 2}, facts=NoFacts())


@pytest.fixture
def declare(monkeypatch):
    """Declare a step for one test."""
    monkeypatch.setattr(steps_module, "_DECLARED", dict(steps_module._DECLARED))

    def declared(work):
        def bake(context: StepContext, member: str = "") -> Manifest:
            return work(context)

        bake.__qualname__ = "bake"
        return step("bake", has_recipe=False)(bake)

    return declared


@pytest.fixture
def pod(file_store):
    return Pod(file_store.uri, "r1", "k1")


def test_a_step_runs_in_a_fork_and_its_output_comes_back(declare, pod, file_store):
    def work(context):
        sys.modules["only_in_the_fork"] = sys
        context.facts = {"process": os.getpid()}
        return thing()

    declare(work)
    result = pod.step("bake", member="one")
    assert (result.manifest, result.reused) == (thing(), False)
    assert "only_in_the_fork" not in sys.modules
    status = Run(file_store, "r1").statuses()["bake-one"]
    assert status["state"] == "succeeded" and status["facts"]["process"] != os.getpid()


def test_an_error_ends_the_pod_with_the_steps_own_message(declare, pod, file_store, capfd):
    def work(context):
        raise SourceError("The table is empty", expected="rows", received="none")

    declare(work)
    with pytest.raises(SystemExit) as ended:
        pod.step("bake")
    assert ended.value.code == 1
    assert capfd.readouterr().out == (
        "[bake] error: The table is empty. Expected rows. Received none.\n"
    )
    assert Run(file_store, "r1").statuses()["bake"]["state"] == "failed"


def test_what_the_kernel_ends_is_done_once_more_in_smaller_batches(declare, pod, file_store, capfd):
    def work(context):
        if not works_lighter():
            os.kill(os.getpid(), signal.SIGKILL)
        context.facts = {"lighter": True}
        return thing()

    declare(work)
    assert pod.step("bake").manifest == thing()
    assert "[bake] was ended by the kernel (SIGKILL)" in capfd.readouterr().out
    status = Run(file_store, "r1").statuses()["bake"]
    assert status["state"] == "succeeded" and status["facts"] == {"lighter": True}
    assert not works_lighter()  # here


def test_steps_can_share_a_fork(declare, pod, file_store, capfd):
    def work(context):
        if context.name == "bake-bad":
            raise SourceError("The table is empty", expected="rows", received="none")
        context.facts = {"process": os.getpid()}
        return thing()

    declare(work)

    def both():
        return [pod.step("bake", member=name).manifest.id for name in ("one", "two")]

    assert pod.together("bakery", both) == ["a", "a"]
    facts = [status["facts"]["process"] for status in Run(file_store, "r1").statuses().values()]
    assert facts[0] == facts[1] != os.getpid()
    with pytest.raises(SystemExit) as ended:
        pod.together("bakery", lambda: pod.step("bake", member="bad").manifest.id)
    assert ended.value.code == 1
    assert capfd.readouterr().out == (
        "[bake-bad] error: The table is empty. Expected rows. Received none.\n"
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [(signal.SIGKILL, "raise the memory limit"), (signal.SIGTERM, "was ended by SIGTERM")],
)
def test_a_step_that_dies_again_is_recorded_as_failed(
    declare, pod, file_store, capfd, number, text
):
    deaths = file_store.root / "deaths"

    def work(context):
        with deaths.open("a") as file:
            file.write("x")
        os.kill(os.getpid(), number)
        return thing()

    declare(work)
    with pytest.raises(SystemExit) as ended:
        pod.step("bake", member="one")
    assert ended.value.code == 1
    status = Run(file_store, "r1").statuses()["bake-one"]
    assert status["state"] == "failed" and text in status["error"]
    assert f"[bake-one] error: {status['error']}" in capfd.readouterr().out
    assert len(deaths.read_text()) == (2 if number == signal.SIGKILL else 1)


@pytest.mark.parametrize(
    ("index", "lighter"), [("", False), ("0", False), ("1", True), ("2", True)]
)
def test_a_pod_that_is_tried_again_works_lighter(monkeypatch, index, lighter):
    monkeypatch.setenv("KFP_RETRY_INDEX", index)
    assert works_lighter() is lighter


def test_smaller_batches_are_of_work_and_not_of_what_is_learned_from(monkeypatch):
    from mammo_core.ingest.runner import RunnerConfig

    def workers():
        (flag,) = [flag for flag in RunnerConfig(workers=3).flags() if "num_workers" in flag]
        return int(flag.partition("=")[2])

    assert (workers(), lighter_batch(64), lighter_batch(2)) == (3, 64, 2)
    monkeypatch.setenv("MAMMO_LIGHTER", "1")
    assert (workers(), lighter_batch(64), lighter_batch(2)) == (1, 16, 1)


def test_a_lighter_training_computes_blocks_twice(monkeypatch):
    from mammo_core.training import trainer
    from mammo_core.training.config import HardwareConfig

    class ReachedError(Exception):
        pass

    def with_rematerialization(model):
        raise ReachedError

    monkeypatch.setattr(trainer, "with_rematerialization", with_rematerialization)
    monkeypatch.setenv("KFP_RETRY_INDEX", "1")
    with pytest.raises(ReachedError):
        trainer.compile_trainer(None, None, None, HardwareConfig())


def test_a_fork_ends_with_the_process_that_started_it(tmp_path):
    """Also where that ends by kill -9."""
    from tests.support.processes import wait_until

    path = tmp_path / "process"

    def inner():
        path.write_text(str(os.getpid()))
        signal.pause()

    def outer():
        return call_in_fork(inner).exit_code

    middle = os.fork()
    if middle == 0:
        outer()
        os._exit(0)
    wait_until(lambda: path.exists() and path.read_text().isdecimal(), 30)
    process = int(path.read_text())
    os.kill(middle, signal.SIGKILL)
    os.waitpid(middle, 0)

    def is_gone():
        try:
            state = Path(f"/proc/{process}/stat").read_text()
            return state.rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    wait_until(is_gone, 30)


def test_a_folder_that_a_pod_does_not_have_is_looked_for_in_the_bucket(tmp_path, monkeypatch):
    from mammo_core.at_paths.data_pods import _source_in_bucket

    monkeypatch.chdir(tmp_path)
    assert _source_in_bucket("phantom", []) == "s3://mammo-sources/phantom"
    assert _source_in_bucket("cbis_ddsm_resnet50_s10", []) == "s3://mammo-sources/cbis-ddsm"
    assert _source_in_bucket("phantom", ["source.root=s3://mine/a"]) == ""
    assert _source_in_bucket("nonesuch", []) == ""
    (tmp_path / "data" / "phantom").mkdir(parents=True)
    assert _source_in_bucket("phantom", []) == ""


def test_a_bundle_keeps_manifests_and_lists_of_them(tmp_path):
    path = tmp_path / "folder" / "data"
    bundle = {"images": thing("a"), "networks": [thing("b"), thing("c")]}
    assert write_bundle(str(path), bundle) == {"images": "a", "networks": "b, c"}
    assert read_bundle(str(path)) == bundle
    assert set(json.loads(path.read_text())) == {"images", "networks"}
