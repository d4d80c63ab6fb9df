"""A program in a fork is run like one in a new process."""

import subprocess

import pytest

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
