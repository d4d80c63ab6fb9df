"""Checkpoints: an interrupted training ends with the same weights as an uninterrupted one."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mammo_core.store import LeaseLostError
from mammo_core.training import train
from mammo_core.training.checkpoint import Checkpoints, TrainingState

HERE = Path(__file__).parent


def _module(name: str) -> Any:
    spec = spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


small_training = _module("small_training")


class InterruptError(Exception):
    """Interrupts a training in this process, in place of a kill."""


def _train(checkpoints: Checkpoints | None = None, **options: Any) -> Any:
    model = small_training.network()
    messages: list[str] = []
    result = train(
        model,
        options.pop("config", small_training.config()),
        options.pop("records", small_training.Records((20, 13))),
        small_training.Records((7, 6), seed=1),
        to_network=small_training.to_network,
        seed=3,
        class_names=small_training.NAMES,
        checkpoints=checkpoints,
        on_resume=messages.append,
        **options,
    )
    return model.get_weights(), result, messages


def _numbers(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    timed = ("images_per_s", "seconds")
    return [{k: v for k, v in row.items() if k not in timed} for row in history]


@pytest.fixture(scope="module")
def uninterrupted_training() -> Any:
    return _train()


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [2, 4])  # at the end of a stage, and within one
def test_training_resumes_after_an_epoch(
    file_store, uninterrupted_training: Any, epochs: int
) -> None:
    weights, uninterrupted, _ = uninterrupted_training

    def stop(row: dict[str, Any]) -> None:
        if row["epoch"] == epochs + 1:
            raise InterruptError

    def checkpoints() -> Checkpoints:
        return Checkpoints(file_store, "checkpoints/t")

    with pytest.raises(InterruptError):
        _train(checkpoints(), on_epoch=stop)
    again, result, messages = _train(checkpoints())
    assert messages and "resuming from a checkpoint" in messages[0]
    assert all(np.array_equal(a, b) for a, b in zip(weights, again, strict=True))
    assert _numbers(result.history) == _numbers(uninterrupted.history)
    assert (result.best_epoch, result.best_value) == (
        uninterrupted.best_epoch,
        uninterrupted.best_value,
    )
    # Only the latest checkpoint is kept: its index, its state and the best weights.
    assert len(list(file_store.list("checkpoints/t/"))) == 3
    remaining = checkpoints()
    remaining.clear()
    assert not list(file_store.list("checkpoints/t/"))
    assert remaining.load() is None and not remaining.fault


@pytest.mark.slow
def test_the_same_command_resumes_after_kill_9_within_an_epoch(file_store, tmp_path: Path) -> None:
    def command(store: str, out: str) -> list[str]:
        return [sys.executable, str(HERE / "train_with_checkpoints.py"), store, str(tmp_path / out)]

    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run(command((tmp_path / "other").as_uri(), "a.npz"), env=environment, check=True)
    index = "checkpoints/t/latest.json"
    process = subprocess.Popen(command(file_store.uri, "b.npz"), env=environment)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if file_store.exists(index):
                state = json.loads(file_store.read(index))["state"]
                if state["stage"] == 1 and state["stage_epoch"] >= 1 and state["batches"] >= 2:
                    break
            time.sleep(0.005)
        assert process.poll() is None, "it ended before it could be killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    state = json.loads(file_store.read(index))["state"]
    assert state["stage"] == 1
    done = subprocess.run(
        command(file_store.uri, "b.npz"), env=environment, check=True, capture_output=True
    )
    assert b"resuming from a checkpoint: stage 2" in done.stdout
    uninterrupted, resumed = np.load(tmp_path / "a.npz"), np.load(tmp_path / "b.npz")
    assert uninterrupted.files == resumed.files
    assert all(np.array_equal(uninterrupted[name], resumed[name]) for name in uninterrupted.files)


@pytest.mark.parametrize("damage", ["state", "index", "missing", "format"])
def test_a_damaged_checkpoint_is_reported_and_not_used(file_store, damage: str) -> None:
    arrays = [np.arange(6, dtype=np.float32), np.zeros((2, 2))]
    written = Checkpoints(file_store, "checkpoints/t")
    state = TrainingState(stage=1, counts=[2, 3], best=(0.5, -1.0), best_epoch=2)
    written.save(state, arrays, arrays[:1], arrays[1:])
    saved = Checkpoints(file_store, "checkpoints/t").load()
    assert saved is not None and saved.state == state
    assert np.array_equal(saved.model[0], arrays[0]) and saved.best[0].shape == (2, 2)
    index = "checkpoints/t/latest.json"
    (key,) = (k for k in file_store.list("checkpoints/t/") if "/state-" in k)
    if damage == "missing":
        file_store.delete(key)
    elif damage == "format":
        file_store.write(index, file_store.read(index).replace(b'"format": 2', b'"format": 1'))
    else:
        key = key if damage == "state" else index
        file_store.write(key, file_store.read(key)[:-10])
    again = Checkpoints(file_store, "checkpoints/t")
    assert again.load() is None
    assert again.fault


class TestTwoOwners:
    """A training whose owner was paused, and lost its lease to another."""

    STATE, ARRAYS = TrainingState(best_epoch=1), [np.arange(3.0)]

    def owner(self, store, owns):
        def check():
            if not owns:
                raise LeaseLostError("lost", expected="a", received="b")

        return Checkpoints(store, "checkpoints/t", check_lease=check)

    def save(self, checkpoints, batches):
        state = TrainingState(best_epoch=1, batches=batches)
        checkpoints.save(state, self.ARRAYS, [], self.ARRAYS)

    def test_the_former_owner_replaces_and_removes_nothing(self, store):
        former_owns = [True]
        former, owner = self.owner(store, former_owns), self.owner(store, [True])
        self.save(former, 1)
        assert owner.load().state.batches == 1
        self.save(owner, 2)
        before = sorted(store.list(""))
        former_owns.clear()
        with pytest.raises(LeaseLostError):
            self.save(former, 3)
        assert sorted(store.list("")) == before
        assert self.owner(store, [True]).load().state.batches == 2

    def test_a_former_owner_that_was_paused_after_its_check_loses_the_swap(self, store):
        answers = [True]  # the lease was held at the check before the files, not at the next
        former, owner = self.owner(store, [True]), self.owner(store, [True])
        self.save(former, 1)
        owner.load()
        self.save(owner, 2)
        lost = self.owner(store, [])._check_lease
        former._check_lease = lambda: answers.pop() if answers else lost()
        with pytest.raises(LeaseLostError):
            self.save(former, 3)  # equal arrays: they must have other keys
        checkpoint = self.owner(store, [True]).load()
        assert checkpoint.state.batches == 2 and np.array_equal(checkpoint.model[0], self.ARRAYS[0])

    def test_the_owner_replaces_what_a_former_owner_wrote_late(self, store):
        owner, former = self.owner(store, [True]), self.owner(store, [True])
        self.save(former, 1)
        owner.load()
        self.save(former, 2)  # between its check and the owner's next checkpoint
        self.save(owner, 3)
        assert self.owner(store, [True]).load().state.batches == 3
        owner.clear()
        assert list(store.list("")) == []
