"""Mutated DICOM files through the reader: `make verify-fuzz` runs 5,000 of them too."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
FULL = os.environ.get("MAMMO_VERIFY_FUZZ") == "1"


@pytest.mark.parametrize(("files", "seed"), [(300, 1), (5000, 2)][: 1 + FULL])
def test_mutated_files_are_read_or_rejected(tmp_path, files, seed):
    # In a separate process, to detect a crash of the reader and to measure its memory.
    done = subprocess.run(
        [sys.executable, str(HERE / "fuzz.py"), str(tmp_path), str(files), str(seed)],
        capture_output=True,
        text=True,
        cwd=HERE.parents[1],
        env={"PYTHONPATH": str(HERE.parents[1]), "PATH": "/usr/bin:/bin"},
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr == ""
    counts = json.loads(done.stdout)
    print(counts)
    assert counts["unexpected"] == []
    assert counts["read"] + counts["rejected"] == files
    assert counts["rejected"] > files / 4
    assert counts["slowest"] < 10
    assert max(counts["memory"]) < 2e9
