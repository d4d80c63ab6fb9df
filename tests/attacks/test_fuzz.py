"""Mutated images and model files through the product's entry points.

`make verify-fuzz` runs 5,000 images and 500 model files; its record is in docs/verification.md.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
FULL = os.environ.get("MAMMO_VERIFY_FUZZ") == "1"


def run(forks, script, folder, count, seed):
    done = subprocess.run(
        [*forks.python, str(HERE / script), str(folder), str(count), str(seed)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(report))
    return report


@pytest.mark.slow
@pytest.mark.timeout(3600 if FULL else 600)
def test_mutated_images_are_used_or_rejected_by_every_command(forks, tmp_path):
    count = 5000 if FULL else 40
    report = run(forks, "fuzz_images.py", tmp_path, count, 2)
    assert report["faults"] == []
    for command in ("inspect", "index", "convert", "score"):
        assert report[command]["used"] + report[command]["rejected"] == count
        assert min(report[command]["used"], report[command]["rejected"]) >= count // 10
    assert max(report["memory_mb"]) < 3000


@pytest.mark.slow
@pytest.mark.timeout(3600 if FULL else 600)
def test_mutated_models_are_read_or_refused(forks, tmp_path):
    count = 500 if FULL else 10
    report = run(forks, "fuzz_models.py", tmp_path, count, 7)
    assert report["faults"] == []
    refused = sum(number for name, number in report.items() if name.endswith(" refused"))
    assert count // 3 <= refused <= count
    assert max(report["memory_mb"]) < 3000
