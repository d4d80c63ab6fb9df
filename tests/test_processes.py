"""Work in a process of its own, and steps that end with their command."""

import os
import resource
import subprocess
import sys
import time

import pytest

from mammo_core.errors import RecipeError, RunError
from mammo_core.imaging import output_size
from mammo_core.processes import (
    FOLLOW,
    ProcessError,
    call_in_process,
    child_environment,
    follow_parent,
    run_process,
    start_time,
)
from tests.support.processes import start_child

pytestmark = pytest.mark.usefixtures("new_processes")
_STEP = """
import time
from mammo_core.processes import follow_parent
follow_parent()
print("following", flush=True)
time.sleep(600)
"""


def _wait(process, seconds=5.0):
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def test_a_running_process_keeps_its_start_time():
    assert start_time(os.getpid()) == start_time(os.getpid())
    assert int(start_time(os.getpid())) > 0
    assert start_time(2**22 + 1) is None  # above the largest id of Linux


def test_a_zombie_has_ended():
    with start_child([sys.executable, "-c", ""]) as process:
        deadline = time.monotonic() + 10
        while start_time(process.pid) is not None and time.monotonic() < deadline:
            time.sleep(0.02)  # nobody waits for it: it stays a zombie
        assert start_time(process.pid) is None


@pytest.mark.parametrize("kill", ["kill", "terminate"])
def test_a_step_ends_with_the_process_it_follows(kill):
    """As KFP starts steps: not as a direct child."""
    with start_child([sys.executable, "-c", "import time; time.sleep(600)"]) as command:
        environment = {**os.environ, FOLLOW: f"{command.pid}:{start_time(command.pid)}"}
        with start_child(
            [sys.executable, "-c", _STEP], env=environment, stdout=subprocess.PIPE
        ) as step:
            assert step.stdout.readline() == b"following\n"
            assert _wait(step, 0.5) is None
            getattr(command, kill)()
            command.wait()
            assert _wait(step) == 137


def test_a_step_whose_command_has_ended_does_not_start(monkeypatch):
    monkeypatch.setenv(FOLLOW, f"{2**22 + 1}:1")
    with pytest.raises(RunError, match="has ended"):
        follow_parent()


def test_a_reused_process_id_is_another_process(monkeypatch):
    with start_child([sys.executable, "-c", "import time; time.sleep(600)"]) as other:
        monkeypatch.setenv(FOLLOW, f"{other.pid}:1")
        with pytest.raises(RunError, match="has ended"):
            follow_parent()


def test_a_process_without_a_parent_to_follow_just_runs(monkeypatch):
    monkeypatch.delenv(FOLLOW, raising=False)
    follow_parent()
    for name, value in child_environment().items():  # itself, when a step runs in the command
        monkeypatch.setenv(name, value)
    follow_parent()


@pytest.mark.parametrize("value", ["nonsense", "12", ":", "x:1"])
def test_a_malformed_variable_is_an_error(monkeypatch, value):
    monkeypatch.setenv(FOLLOW, value)
    with pytest.raises(RunError):
        follow_parent()


def _python(code, **options):
    return run_process([sys.executable, "-c", code], **options)


def test_a_process_returns_its_output():
    result = _python("import sys; print('out'); print('err', file=sys.stderr)")
    assert result.succeeded and result.exit_code == 0
    assert (result.stdout, result.stderr) == (b"out\n", b"err\n")


def test_a_process_starts_where_a_thousand_files_are_open():
    """Descriptors above 1023 are too large for `select`."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 1200:
        pytest.skip("this process may not open 1,200 files")
    files = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        result = _python("print('out')")
    finally:
        for file in files:
            os.close(file)
    assert result.succeeded, result.failure


@pytest.mark.parametrize(
    ("code", "options", "failure"),
    [
        (
            "import sys; print('first\\nlast', file=sys.stderr); sys.exit(3)",
            {},
            "exit code 3: last",
        ),
        ("print('only output'); raise SystemExit(1)", {}, "exit code 1: only output"),
        ("import os; os.abort()", {}, "SIGABRT"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", {}, "SIGKILL"),
        ("import time; time.sleep(600)", {"timeout_s": 0.5}, "timed out"),
        ("while True: pass", {"cpu_s": 1}, "too much processor time (SIGXCPU)"),
        ("b'0' * (1 << 30)", {"address_space": 1 << 29}, "exit code 1: MemoryError"),
    ],
)
def test_a_failure_is_described(code, options, failure):
    result = _python(code, **options)
    assert not result.succeeded
    assert result.failure == failure


def test_processes_run_where_pidfd_open_is_not_allowed(monkeypatch):
    def refuse(pid):
        raise PermissionError

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert _python("print('done')").stdout == b"done\n"
    assert _python("import time; time.sleep(600)", timeout_s=0.5).failure == "timed out"


def test_limits_never_exceed_those_in_force():
    inner = "import resource; print(resource.getrlimit(resource.RLIMIT_AS)[0] >> 20)"
    outer = f"""
import resource, sys
from mammo_core.processes import run_process
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
result = run_process([sys.executable, "-c", {inner!r}], address_space=2**34)
print(result.stdout.decode() or result.failure)
"""
    assert _python(outer).stdout.strip() == b"1024"


def test_a_command_that_does_not_exist_is_a_failure():
    result = run_process(["/nonexistent/command"])
    assert result.failure == "exit code 127: /nonexistent/command: No such file or directory"


def test_a_timeout_kills_what_the_process_started(tmp_path):
    """A grandchild neither survives nor delays the result."""
    code = (
        "import pathlib, subprocess, sys, time;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid));"
        "time.sleep(600)"
    )
    assert _python(code, timeout_s=3).timed_out
    _require_end(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("work", ["time.sleep(600)", "while True: pass"])
def test_a_process_ends_with_a_parent_that_is_killed(tmp_path, work):
    """The process itself neither imports the library nor watches anything."""
    pid_file = tmp_path / "pid"
    code = f"""
import os, pathlib, time
pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))
{work}
"""
    parent = f"""
import sys
from mammo_core.processes import run_process
run_process([sys.executable, "-c", {code!r}])
"""
    with start_child([sys.executable, "-c", parent]) as process:
        deadline = time.monotonic() + 60
        while not (pid_file.is_file() and pid_file.read_text()) and time.monotonic() < deadline:
            time.sleep(0.02)
        pid = int(pid_file.read_text())
        assert start_time(pid) is not None
        process.kill()
        process.wait()
        _require_end(pid)


def _require_end(pid):
    deadline = time.monotonic() + 10
    while start_time(pid) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert start_time(pid) is None


def test_a_process_leaves_no_core_file():
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"
    assert _python(code).stdout == b"(0, 0)\n"


def test_a_call_returns_its_result_from_another_process():
    assert call_in_process(divmod, 7, 3) == [2, 1]
    assert call_in_process(os.getpid) != os.getpid()
    assert call_in_process(os.getenv, "MAMMO_TEST", environment={"MAMMO_TEST": "set"}) == "set"


def test_a_call_raises_what_the_function_raised():
    with pytest.raises(ProcessError, match="exit code 1: ZeroDivisionError"):
        call_in_process(divmod, 1, 0)
    with pytest.raises(RecipeError, match=r"Unknown resize mode\. Expected forced"):
        call_in_process(output_size, (1, 1), 1, 1, "other")


def test_a_call_whose_process_crashes_is_an_error():
    with pytest.raises(ProcessError, match="SIGABRT"):
        call_in_process(os.abort)
    with pytest.raises(ProcessError, match="timed out"):
        call_in_process(time.sleep, 600, timeout_s=1)
    with pytest.raises(ProcessError, match="exit code 0"):  # ended without an answer
        call_in_process(os._exit, 0)


_FREED = """
import os, random
from mammo_core.processes import give_back_memory
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
blocks = [bytearray(8_000) for _ in range(20_000)]
kept = blocks[::50]
full = resident()
del blocks
before = resident()
give_back_memory()
print(full, before, resident())
"""


def test_what_was_freed_between_kept_objects_is_given_back():
    # 160 MB in blocks of the C library, of which every fiftieth is kept.
    result = run_process([sys.executable, "-c", _FREED], timeout_s=60)
    full, before, after = map(int, result.stdout.split())
    assert full - before < 100e6
    assert before - after > 100e6
