"""Headers that try to exhaust their reader, through every command that reads headers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
COMMANDS = ("inspect", "index", "convert", "score", "serve")
#: Why each of the three files is refused, with the number received if it is known.
FILES = {
    "small-bomb": "at most 100000 elements and items. Received more than 100000",
    "large-bomb": "at most 100000 elements and items. Received more than 100000",
    "ten-million-values": "at most 262144 bytes of a field. Received 20000000",
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    done = subprocess.run(
        [sys.executable, str(HERE / "header_probe.py"), str(tmp_path_factory.mktemp("p")), "10"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {(line["command"], line["file"]): line for line in lines}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_hostile_header_is_refused_at_little_cost(results, command, file):
    result = results[command, file]
    assert "exceeds the limits" in result["reason"]
    assert FILES[file] in result["reason"]
    assert "PLANTED" not in result["reason"]
    # Targets: 2 s of processor time, 300 MB above the idle process.
    assert result["cpu_s"] < 2 and result["mb"] < 300
    if command == "serve":
        assert result["reason"].startswith("422 ")
