import subprocess
import sys
from pathlib import Path

import pytest

MAMMO = Path(sys.executable).parent / "mammo"


def run_mammo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([MAMMO, *arguments], capture_output=True, text=True, check=False)


def test_help_lists_the_command_groups():
    result = run_mammo("--help")
    assert result.returncode == 0
    for name in ("phantom", "dicom", "sources", "models", "score", "pipeline"):
        assert name in result.stdout


@pytest.mark.parametrize("arguments", [["nonsense"], ["pipeline", "run"], ["score", "--model"]])
def test_wrong_usage_is_exit_code_2(arguments):
    result = run_mammo(*arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_debug_shows_the_traceback_at_any_position():
    quiet = run_mammo("phantom", "create", "/nowhere", "--size", "5")
    assert quiet.returncode == 2
    assert quiet.stderr.startswith("error: ")
    assert "Traceback" not in quiet.stderr
    for arguments in (["--debug", "phantom", "create"], ["phantom", "create", "--debug"]):
        assert "Traceback" in run_mammo(*arguments, "/nowhere", "--size", "5").stderr


def test_compile_writes_the_pipeline(tmp_path):
    out = tmp_path / "train.yaml"
    result = run_mammo("pipeline", "compile", str(out))
    assert result.returncode == 0, result.stderr
    assert "mammo-train" in out.read_text()
