"""Which processes live, and steps that end with their command."""

import os
import subprocess
import sys
import time

import pytest

from mammo_core.errors import StoreError
from mammo_core.processes import FOLLOW, follow_me, follow_parent, started

_STEP = """
import time
from mammo_core.processes import follow_parent
follow_parent()
print("following", flush=True)
time.sleep(600)
"""


def _ends(process, seconds=5.0):
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def test_a_living_process_has_a_start_and_keeps_it():
    assert started(os.getpid()) == started(os.getpid())
    assert int(started(os.getpid())) > 0
    assert started(2**22 + 1) is None  # above the largest id of Linux


def test_a_zombie_is_dead(start_child):
    with start_child([sys.executable, "-c", ""]) as process:
        deadline = time.monotonic() + 10
        while started(process.pid) is not None and time.monotonic() < deadline:
            time.sleep(0.02)  # nobody waits for it: it ends as a zombie
        assert started(process.pid) is None


@pytest.mark.parametrize("kill", ["kill", "terminate"])
def test_a_step_ends_with_the_process_it_follows(start_child, kill):
    """Through a shell between, as KFP starts steps."""
    with start_child([sys.executable, "-c", "import time; time.sleep(600)"]) as command:
        told = {**os.environ, FOLLOW: f"{command.pid}:{started(command.pid)}"}
        with start_child([sys.executable, "-c", _STEP], env=told, stdout=subprocess.PIPE) as step:
            assert step.stdout.readline() == b"following\n"
            assert _ends(step, 0.5) is None
            getattr(command, kill)()
            command.wait()
            assert _ends(step) == 137


def test_a_step_of_a_dead_command_does_not_start(monkeypatch):
    monkeypatch.setenv(FOLLOW, f"{2**22 + 1}:1")
    with pytest.raises(StoreError, match="has ended"):
        follow_parent()


def test_a_reused_process_id_is_another_process(monkeypatch, start_child):
    with start_child([sys.executable, "-c", "import time; time.sleep(600)"]) as other:
        monkeypatch.setenv(FOLLOW, f"{other.pid}:1")
        with pytest.raises(StoreError, match="has ended"):
            follow_parent()


def test_nobody_to_follow(monkeypatch):
    monkeypatch.delenv(FOLLOW, raising=False)
    follow_parent()
    for name, value in follow_me().items():  # oneself, when a step runs in the command
        monkeypatch.setenv(name, value)
    follow_parent()


@pytest.mark.parametrize("told", ["nonsense", "12", ":", "x:1"])
def test_a_setting_that_cannot_be_is_told(monkeypatch, told):
    monkeypatch.setenv(FOLLOW, told)
    with pytest.raises(StoreError):
        follow_parent()
