"""A run that is killed at any point can be completed by the same command."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mammo_core.datasets import parse
from mammo_core.datasets.manifests import verify_file
from mammo_core.processes import start_time
from mammo_core.store import open_store

pytestmark = pytest.mark.slow


def test_the_same_command_completes_a_killed_run(undisturbed, pipeline, tmp_path):
    _, complete = undisturbed
    for number, (step, victims) in enumerate(
        [("convert", "command"), ("sample", "step"), ("train-patch", "both")]
    ):
        runs = f"killed-{number}"
        process = subprocess.Popen(
            pipeline.line(tmp_path, "--run-id", runs, runs=runs),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        status = tmp_path / "store" / "runs" / runs / "steps" / f"{step}.json"
        _wait_for(status, process)
        time.sleep(0.05)  # sampling takes less than a second
        followers = _followers(process.pid)
        assert followers, "the step does not follow its command"
        if victims in ("step", "both"):
            for pid in followers:
                os.kill(pid, signal.SIGKILL)
        if victims in ("command", "both"):
            process.kill()
        code = process.wait(60)
        assert code != 0
        assert json.loads(status.read_text())["state"] == "running", "killed too late"
        deadline = time.monotonic() + 10
        while any(start_time(pid) for pid in followers):
            assert time.monotonic() < deadline, "a process of the killed run is still alive"
            time.sleep(0.1)
        # Every published output is complete, to the byte.
        store = open_store(f"file://{tmp_path}/store")
        for key in store.list(""):
            if key.endswith("/manifest.json"):
                for file in parse(store.read(key), key).files:
                    verify_file(store, file)
    # Every step of it that has work left starts like a user's; those of the other run were forks.
    last = pipeline.run(tmp_path, runs="last", python=[sys.executable])
    assert last.code == 0, last.output
    expected = {name: data["id"] for name, data in complete.summary["datasets"].items()}
    assert {n: data["id"] for n, data in last.summary["datasets"].items()} == expected
    assert last.summary["auc"] == complete.summary["auc"]


def _wait_for(path: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 240
    while not path.exists():
        assert process.poll() is None, "the run ended before the step began"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _followers(pid: int) -> list[int]:
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != pid:
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(item.startswith(b"MAMMO_FOLLOW=%d:" % pid) for item in environment):
                pids.append(int(entry.name))
    return pids
