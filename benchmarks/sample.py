"""Measure how many patches per second of one processor the sampler cuts.

Views of the phantom, as image records in a shard. The time is that of a `sample` worker's
whole task: decode the record, draw, test and cut patches, encode the patch records. It is
processor time, with OpenCV on one thread, in a separate process for each preset. Files are read
before. The rates of the original were measured with its own code, which reads and writes images.

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

#: Preset, size of the views, and the patches per second of the original at that size.
CASES = {
    "s10": ("S10", (1152, 896), 63.0),
    "s30": ("S30", (1152, 896), 63.0),
    "first_generation": ("first-generation", (4096, 2600), 3.7),
    "s1": ("S1", (1152, 896), 63.0),
}
TARGETS = {"s10": 1200, "s30": 1200, "first_generation": 100}


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


def _sample_in_process(shard: Path, preset: str, rounds: int, sender: Any) -> None:
    import cv2

    from mammo_core.datasets import ImageRecord
    from mammo_core.datasets.tfrecord import read_records
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
    """Return the peak resident memory (MB) of this process; getrusage includes the parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return float("nan")


def measure(small: int, large: int, rounds: int) -> dict[str, Any]:
    """Run the whole benchmark."""
    context = multiprocessing.get_context("spawn")
    measured: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="mammo-benchmark-") as folder:
        shards = make_shards(Path(folder), {(1152, 896): small, (4096, 2600): large})
        for name, (preset, size, _) in CASES.items():
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(
                target=_sample_in_process, args=(shards[size], preset, rounds, sender)
            )
            process.start()
            sender.close()
            try:
                measured[name] = receiver.recv()
            except EOFError:
                raise SystemExit(f"the process of preset {preset} ended early") from None
            process.join()
    return {
        "patches_per_cpu_s": {n: round(statistics.median(f[0]), 1) for n, f in measured.items()},
        "peak_mb": round(max(f[4] for f in measured.values()), 1),
        "peak_mb_of": {name: round(f[4], 1) for name, f in measured.items()},
        "rounds": {name: [round(rate, 1) for rate in f[0]] for name, f in measured.items()},
        "patches": {name: f[1] for name, f in measured.items()},
        "lesions": {name: f[2] for name, f in measured.items()},
        "images": {name: f[3] for name, f in measured.items()},
        "original_patches_per_s": {name: case[2] for name, case in CASES.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="few views, rough figures")
    options = parser.parse_args()
    result = measure(*((6, 2, 2) if options.quick else (24, 6, options.rounds)))
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return
    row = "{:18} {:>10} {:>18} {:>12} {:>9}\n".format
    sys.stdout.write(row("", "per CPU s", "the original", "target", "peak MB"))
    for name, rate in result["patches_per_cpu_s"].items():
        original = result["original_patches_per_s"][name]
        original_text = f"{original} ({rate / original:.0f}x)"
        target = f"at least {TARGETS[name]}" if name in TARGETS else ""
        sys.stdout.write(row(name, rate, original_text, target, result["peak_mb_of"][name]))


if __name__ == "__main__":
    main()
