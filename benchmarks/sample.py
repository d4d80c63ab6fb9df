"""How many patches the sampler cuts in a second of one processor.

Views of the phantom, as image records in a shard. Timed is what a worker of `sample` does with
each: record bytes to image, patches drawn, tested and cut, patches to record bytes; by processor
time, OpenCV on one thread, in a process of its own for each preset. Files are read before the
clock starts. The original's rates were recorded on its own code, pictures read and written.

    PYTHONPATH=. .venv/bin/python benchmarks/sample.py [--json] [--quick]
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

#: Preset, size of the views, and the patches a second of the original at that size.
CASES = {
    "s10": ("S10", (1152, 896), 63.0),
    "s30": ("S30", (1152, 896), 63.0),
    "first_generation": ("first-generation", (4096, 2600), 3.7),
    "s1": ("S1", (1152, 896), 63.0),
}
WANTED = {"s10": 1200, "s30": 1200, "first_generation": 100}


def make_shards(folder: Path, views: dict[tuple[int, int], int]) -> dict[tuple[int, int], Path]:
    """Write phantom views of each size as image records."""
    from mammo_core.datasets import ImageRecord, LesionMask
    from mammo_core.datasets.shards import write_shard
    from mammo_core.phantom import PhantomConfig, draw_view, plan_views
    from mammo_core.store import open_store

    store = open_store(str(folder))
    shards = {}
    for (height, width), count in views.items():
        config = PhantomConfig(patients=count, seed=3, height=height, width=width)
        records = []
        for number, plan in enumerate(plan_views(config)[:count]):
            view = draw_view(config, plan)
            lesions = tuple(
                LesionMask(f"lesion_{number}_{index}", mask > 0)
                for index, mask in enumerate(view.masks)
            )
            image = ImageRecord(f"{number:064x}", view.pixels, lesions, height, width)
            records.append(image.to_bytes())
        file = write_shard(store, f"views-{height}", 0, records)
        shards[height, width] = store.fetch(file.key)
    return shards


def _sampling(shard: Path, preset: str, rounds: int, sender: Any) -> None:
    import cv2

    from mammo_core.datasets import ImageRecord
    from mammo_core.datasets.shards import read_records
    from mammo_core.sampling import SamplingConfig, sample_view

    cv2.setNumThreads(1)
    config = SamplingConfig(preset=preset)
    rates, patches, lesions, images = [], 0, 0, 0
    for number in range(rounds + 1):
        seconds, patches, lesions, images = 0.0, 0, 0, 0
        for data in read_records(shard):
            started = time.process_time()
            record = ImageRecord.from_bytes(data)
            view = sample_view(record, config, 1)
            size = sum(len(patch.to_bytes()) for patch in view.patches)
            seconds += time.process_time() - started
            if not size or view.failures:
                raise SystemExit(f"patches are missing: {view.failures}")
            patches, images = patches + len(view.patches), images + 1
            lesions += len(record.lesions)
        if number:  # the first round loads libraries
            rates.append(patches / seconds)
    sender.send((rates, patches, lesions, images, _peak_mb()))


def _peak_mb() -> float:
    """Largest resident memory of this process; getrusage would count its parent's too."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return float("nan")


def measure(small: int, large: int, rounds: int) -> dict[str, Any]:
    """Everything, in one run."""
    context = multiprocessing.get_context("spawn")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="mammo-benchmark-") as folder:
        shards = make_shards(Path(folder), {(1152, 896): small, (4096, 2600): large})
        for name, (preset, size, _) in CASES.items():
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_sampling, args=(shards[size], preset, rounds, sender))
            process.start()
            sender.close()
            try:
                found[name] = receiver.recv()
            except EOFError:
                raise SystemExit(f"the process that sampled {preset} ended early") from None
            process.join()
    return {
        "patches_per_cpu_s": {n: round(statistics.median(f[0]), 1) for n, f in found.items()},
        "peak_mb": round(max(f[4] for f in found.values()), 1),
        "peak_mb_of": {name: round(f[4], 1) for name, f in found.items()},
        "rounds": {name: [round(rate, 1) for rate in f[0]] for name, f in found.items()},
        "patches": {name: f[1] for name, f in found.items()},
        "lesions": {name: f[2] for name, f in found.items()},
        "images": {name: f[3] for name, f in found.items()},
        "original_patches_per_s": {name: case[2] for name, case in CASES.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="few views, rough figures")
    told = parser.parse_args()
    found = measure(*((6, 2, 2) if told.quick else (24, 6, told.rounds)))
    if told.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    row = "{:18} {:>10} {:>18} {:>12} {:>9}\n".format
    sys.stdout.write(row("", "per CPU s", "the original", "wanted", "peak MB"))
    for name, rate in found["patches_per_cpu_s"].items():
        original = found["original_patches_per_s"][name]
        told_original = f"{original} ({rate / original:.0f}x)"
        wanted = f"at least {WANTED[name]}" if name in WANTED else ""
        sys.stdout.write(row(name, rate, told_original, wanted, found["peak_mb_of"][name]))


if __name__ == "__main__":
    main()
