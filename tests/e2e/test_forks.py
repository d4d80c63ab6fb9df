"""A program in a fork is run like one in a new process."""

import resource
import signal
import subprocess
import time

import pytest

from mammo_core.processes import ProcessError, call_in_process, start_time
from tests.support.processes import start_child

pytestmark = pytest.mark.slow

_PROGRAM = """
import os, sys
print(sys.argv, os.getcwd(), os.environ["WORD"], "tensorflow" in sys.modules)
print("error", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("end", "status"), [("", 0), ("sys.exit(3)", 3), ("sys.exit('no')", 1), ("1 / 0", 1)]
)
def test_a_fork_has_the_words_folder_environment_and_status(forks, tmp_path, end, status):
    command = [*forks.python, "-c", _PROGRAM + end, "a b"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"WORD": "w"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    assert done.stdout == f"['-c', 'a b'] {tmp_path} w True\n"
    assert done.stderr.startswith("error\n")
    assert ("ZeroDivisionError" in done.stderr) == (end == "1 / 0")


def test_a_killed_fork_has_failed(forks):
    program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([*forks.python, "-c", program], check=False).returncode == 137


def test_a_fork_has_the_limits_of_who_asked_for_it(forks):
    program = "import resource; print(resource.getrlimit(resource.RLIMIT_AS)[0])"
    limit = 2**40

    def restrict():
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    command = [*forks.python, "-c", program]
    done = subprocess.run(command, preexec_fn=restrict, capture_output=True, check=True)
    assert int(done.stdout) == limit


def test_a_fork_ends_with_who_asked_for_it(forks):
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with start_child([*forks.python, "-c", program], stdout=subprocess.PIPE) as client:
        fork = int(client.stdout.readline())
        assert start_time(fork) is not None
        client.send_signal(signal.SIGKILL)
        client.wait()
    deadline = time.monotonic() + 10
    while start_time(fork) is not None:
        assert time.monotonic() < deadline, "the fork is still alive"
        time.sleep(0.02)


def test_a_call_of_the_library_is_a_fork(forks):
    code = "'tensorflow' in __import__('sys').modules"
    assert call_in_process(eval, code) is True
    with pytest.raises(ProcessError, match="exit code 1: ZeroDivisionError"):
        call_in_process(divmod, 1, 0)


def test_a_call_of_a_fork_is_another(forks):
    program = "from mammo_core.processes import call_in_process; "
    program += """print(call_in_process(eval, "'tensorflow' in __import__('sys').modules"))"""
    done = subprocess.run([*forks.python, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"True\n"


def test_a_call_can_be_a_new_process(new_processes):
    assert call_in_process(eval, "'tensorflow' in __import__('sys').modules") is False
