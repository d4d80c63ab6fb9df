"""An experiment from end to end: one partition of it first, ended by the same command."""

import json
import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_patch_pretraining_runs_in_partitions_and_writes_a_table(
    undisturbed, mammo: Path, phantom_tree: Path, tmp_path: Path
) -> None:
    work, _ = undisturbed  # its datasets are reused

    def run(*more: str) -> str:
        command = [
            *(str(mammo), "experiment", "patch-pretraining", "--seeds", "1"),
            *("--recipe", str(Path(__file__).parent / "recipe.yaml")),
            *("--source", str(phantom_tree), "--store", f"file://{work}/store"),
            *("--out", str(tmp_path), *more),
        ]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": "200"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    first = run("--partition", "1/2")
    assert "1 of 2 trials are finished" in first
    assert not list(tmp_path.glob("*/table.md"))
    second = run()
    assert "2 trials, 1 already finished, 1 to run" in second
    assert "patch-initialized minus from scratch" in second
    (folder,) = tmp_path.iterdir()
    result = json.loads((folder / "result.json").read_text())
    assert {row["arm"] for row in result["rows"]} == {"patch-initialized", "from-scratch"}
    assert (folder / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert "mammo experiment patch-pretraining" in (folder / "table.md").read_text()
    assert "0 to run" in run()
