import subprocess
import sys
from pathlib import Path

import pytest

MAMMO = Path(sys.executable).parent / "mammo"


def _mammo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([MAMMO, *arguments], capture_output=True, text=True, check=False)


def test_help_lists_the_command_groups():
    done = _mammo("--help")
    assert done.returncode == 0
    for name in ("phantom", "dicom", "sources", "models", "score", "pipeline"):
        assert name in done.stdout


@pytest.mark.parametrize("arguments", [["nonsense"], ["pipeline", "run"], ["score", "--model"]])
def test_wrong_usage_is_exit_code_2(arguments):
    done = _mammo(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback_wherever_it_stands():
    quiet = _mammo("phantom", "create", "/nowhere", "--size", "5")
    assert quiet.returncode == 2
    assert quiet.stderr.startswith("error: ")
    assert "Traceback" not in quiet.stderr
    for arguments in (["--debug", "phantom", "create"], ["phantom", "create", "--debug"]):
        assert "Traceback" in _mammo(*arguments, "/nowhere", "--size", "5").stderr


def test_compile_writes_the_pipeline(tmp_path):
    out = tmp_path / "train.yaml"
    done = _mammo("pipeline", "compile", str(out))
    assert done.returncode == 0, done.stderr
    assert "mammo-train" in out.read_text()
