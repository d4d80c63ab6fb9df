"""Measure the steps that read and write tables only, with as many images as large sources have.

A source of N images, four for each exam, is described by a CSV. Its files are empty: what `index`
asks about them is answered by the facts that an earlier index has stored, as for a source that has
grown by a few images. The records are a stored manifest with empty shards. No pixel is read.

Each step runs in a process of its own, whose CPU seconds (imports included) and peak memory the
system measures. The exponent of a step is log(CPU at the larger N / CPU at the smaller N) /
log(larger N / smaller N). Beyond 2 GiB, or an exponent of 1.1, the benchmark fails.

    PYTHONPATH=. .venv/bin/python benchmarks/scale.py [--images 50000,500000] [--json] [--keep DIR]
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.scale_data import prepare
from benchmarks.scale_steps import STEPS, UNMEASURED

#: A step may take this much memory, and its CPU seconds grow with this power of the images.
MAXIMUM_MB = 2048
MAXIMUM_EXPONENT = 1.1
_KEY = "5" * 64


def run_step(name: str, folder: Path, images: int = 0) -> dict[str, float]:
    """Run a step in a process of its own; returns its CPU seconds and peak MB."""
    environment = {**os.environ, "MAMMO_SITE_KEY": _KEY, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["MAMMO_SCRATCH"] = str(folder / "scratch")
    command = [
        sys.executable,
        __file__,
        "--step",
        name,
        "--folder",
        str(folder),
        "--count",
        str(images),
    ]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"The step {name} failed.")
    cpu = usage.ru_utime + usage.ru_stime
    return {"cpu_s": round(cpu, 2), "peak_mb": round(usage.ru_maxrss / 1024)}


def measure(images: int, folder: Path) -> dict[str, Any]:
    """Run all steps with a number of images."""
    folder.mkdir(parents=True)
    run_step("prepare", folder, images)
    steps = {name: run_step(name, folder) for name in STEPS}
    manifests = [path.stat().st_size for path in (folder / "store").rglob("manifest.json")]
    return {
        "images": images,
        "steps": {name: cost for name, cost in steps.items() if name not in UNMEASURED},
        "largest_manifest_mb": round(max(manifests) / 2**20, 2),
    }


def exponents(results: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the exponent of each step between the smallest and the largest number of images."""
    few, many = results[0], results[-1]
    ratio = many["images"] / few["images"]
    return {
        name: round(math.log(many["steps"][name]["cpu_s"] / cost["cpu_s"]) / math.log(ratio), 3)
        for name, cost in few["steps"].items()
    }


def main() -> None:
    """Measure, print, and fail beyond the limits."""
    parser = argparse.ArgumentParser(description="Measure the steps of tables at scale.")
    parser.add_argument("--images", default="50000,500000")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step == "prepare":
        prepare(arguments.folder, arguments.count)
        return
    if arguments.step:
        STEPS[arguments.step](arguments.folder)
        return
    counts = sorted(int(number) for number in arguments.images.split(","))
    with tempfile.TemporaryDirectory(prefix="mammo-scale-") as temporary:
        folder = arguments.keep or Path(temporary)
        results = [measure(count, folder / str(count)) for count in counts]
    report: dict[str, Any] = {"results": results, "load": round(os.getloadavg()[0], 2)}
    if len(results) > 1:
        report["exponents"] = exponents(results)
    print(json.dumps(report, indent=None if arguments.json else 1))
    peaks = {name: cost["peak_mb"] for name, cost in results[-1]["steps"].items()}
    beyond = [f"{name} {peak} MB" for name, peak in peaks.items() if peak > MAXIMUM_MB]
    exponent = report.get("exponents", {})
    beyond += [f"{name} {value}" for name, value in exponent.items() if value > MAXIMUM_EXPONENT]
    if beyond:
        raise SystemExit(f"Beyond the limits: {', '.join(beyond)}.")


if __name__ == "__main__":
    main()
