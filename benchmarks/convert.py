"""What does converting a mammogram cost, against the least it can cost?

Uncompressed 4664 x 3064 16-bit files with one lesion mask each become 1152 x 896 records.
The floor is the same work without a pipeline, measured in the same run on the same files:
read, SHA-256, decode (pydicom), one area resize, one mask resize per lesion, OpenCV on one
thread, nothing written. The ratio is the median over interleaved rounds of whole conversions
(Beam's start, checks, shards written, read back and published) to floors. `cpu_ratio` is the
same of processor time, which other work on the machine disturbs less.

    PYTHONPATH=. .venv/bin/python benchmarks/convert.py [--json] [--quick]
"""

import argparse
import contextlib
import hashlib
import io
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pydicom

ROWS, COLUMNS = 4664, 3064
HEIGHT, WIDTH = 1152, 896
#: Files that differ; tables name each of them many times over, so that a disk holds them.
DISTINCT = 24
#: Small shards: the last worker's last shard is then a small part of the whole.
SHARD_MB = 8


@dataclass(frozen=True)
class Tree:
    """Image files with the mask of one lesion each."""

    root: Path
    files: list[tuple[str, str, str, str]]  # image, its SHA-256, mask, its SHA-256

    def tables(self, images: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Tables of that many images, as `index` makes them."""
        chosen = [self.files[number % len(self.files)] for number in range(images)]
        rows = [{"image_id": digest, "path": name} for name, digest, _, _ in chosen]
        lesions = [
            {"lesion_id": f"lesion_{name}", "image_id": d, "mask_path": m, "mask_sha256": md}
            for name, d, m, md in dict.fromkeys(chosen)
        ]
        return pd.DataFrame(rows), pd.DataFrame(lesions)


def make_tree(root: Path, distinct: int) -> Tree:
    """Write files with a breast of texture, and a round lesion."""
    row, column = np.ogrid[:ROWS, :COLUMNS]
    inside = (row - ROWS // 2) ** 2 + column**2 < 2200**2
    texture = np.random.default_rng(1).integers(0, 2**14, (ROWS, COLUMNS), dtype=np.uint16)
    files = []
    for number in range(distinct):
        pixels = np.where(inside, 20000 + number + texture, 0).astype("<u2")
        mask = (row - 1500 - 40 * number) ** 2 + (column - 900) ** 2 < 200**2
        image = _write(root / f"image_{number}.dcm", pixels, 2 * number)
        drawn = _write(root / f"mask_{number}.dcm", mask.astype(np.uint8) * 255, 2 * number + 1)
        files.append((f"image_{number}.dcm", image, f"mask_{number}.dcm", drawn))
    return Tree(root, files)


def _write(path: Path, pixels: Any, number: int) -> str:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import (
        DigitalMammographyXRayImageStorageForPresentation,
        ExplicitVRLittleEndian,
    )

    bits = pixels.dtype.itemsize * 8
    data = Dataset()
    data.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    data.SOPInstanceUID = f"1.2.826.0.1.3680043.8.498.{number}"
    data.Modality, data.PresentationIntentType = "MG", "FOR PRESENTATION"
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PixelRepresentation = 1, 0
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = bits, bits, bits - 1
    data.PixelData = pixels.tobytes()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.save_as(path, enforce_file_format=True)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Cost:
    """What some work took: seconds by the clock, and of the processors."""

    clock: float
    cpu: float

    @classmethod
    def since(cls, clock: float, cpu: float) -> "Cost":
        """What it took from then until now."""
        return cls(time.perf_counter() - clock, time.process_time() - cpu)


def floor(tree: Tree, images: int) -> Cost:
    """The bare work, on one thread."""
    cv2.setNumThreads(1)
    # In the order of the pipeline, so that caches help both alike.
    chosen = sorted(
        (tree.files[number % len(tree.files)] for number in range(images)), key=lambda f: f[1]
    )
    started = time.perf_counter(), time.process_time()
    for image, digest, mask, mask_digest in chosen:
        pixels = _floor_read(tree.root / image, digest)
        cv2.resize(pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        drawn = _floor_read(tree.root / mask, mask_digest)
        cv2.resize(drawn, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    return Cost.since(*started)


def _floor_read(path: Path, digest: str) -> Any:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise SystemExit(f"{path.name} changed")
    return pydicom.dcmread(io.BytesIO(data)).pixel_array


def convert(tree: Tree, images: int, workers: int) -> Cost:
    """A whole conversion, everything imported before."""
    from mammo_core.ingest import ConvertConfig, RunnerConfig
    from mammo_core.ingest import convert as run
    from mammo_core.preprocessing import Geometry
    from mammo_core.store import open_store

    rows, lesions = tree.tables(images)
    config = ConvertConfig(geometry=Geometry(height=HEIGHT, width=WIDTH), shard_mb=SHARD_MB)
    with _emptied(tree.root / "store") as place, contextlib.redirect_stdout(io.StringIO()):
        started = time.perf_counter(), time.process_time()
        manifest = run(
            open_store(str(place)),
            rows,
            lesions,
            root=tree.root,
            config=config,
            runner=RunnerConfig(workers=workers),
            lineage={},
        )
        cost = Cost.since(*started)
    if manifest.counts["images"] != images or manifest.counts["lesions"] != images:
        raise SystemExit(f"not everything was converted: {manifest.counts}")
    return cost


@contextlib.contextmanager
def _emptied(place: Path) -> Iterator[Path]:
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def memory(tree: Tree, sizes: list[int]) -> list[float]:
    """Peak memory (MB) of one worker's process, children included, for each conversion's size."""
    return [peak for size in sizes for peak in _peaks(tree, size)]


def _peaks(tree: Tree, images: int) -> list[float]:
    batches = 1  # a process of its own for each size
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_converting, args=(tree, batches, images, sender))
    process.start()
    peaks, peak = [], 0.0
    while True:
        peak = max(peak, _resident_mb(process.pid or 0))
        if receiver.poll(0.02):
            told = receiver.recv()
            peaks.append(peak)
            peak = 0.0
            if told == batches:
                break
        if not process.is_alive():
            raise SystemExit("the worker died")
    process.join()
    return peaks


def _converting(tree: Tree, batches: int, images: int, sender: Any) -> None:
    for batch in range(batches):
        convert(tree, images, workers=1)
        sender.send(batch + 1)


def _resident_mb(pid: int) -> float:
    """Resident memory of a process and of the processes it started."""
    total, waiting = 0.0, [pid]
    while waiting:
        one = waiting.pop()
        with contextlib.suppress(OSError, IndexError, ValueError):
            pages = int(Path(f"/proc/{one}/statm").read_text().split()[1])
            total += pages * os.sysconf("SC_PAGE_SIZE") / 1e6
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return total


def measure(rounds: int, images: int, memory_images: int) -> dict[str, Any]:
    """Everything, in one run."""
    with tempfile.TemporaryDirectory(prefix="mammo-benchmark-") as folder:
        tree = make_tree(Path(folder), DISTINCT)
        convert(tree, DISTINCT, workers=1)  # imports, page cache
        floors, ones, twos = [], [], []
        few = images // 4
        short_ones, short_twos = [], []
        for _ in range(rounds):
            half = floor(tree, images // 2)
            twos.append(convert(tree, images, workers=2))
            short_twos.append(convert(tree, few, workers=2))
            ones.append(convert(tree, images, workers=1))
            short_ones.append(convert(tree, few, workers=1))
            other = floor(tree, images // 2)
            floors.append(Cost(half.clock + other.clock, half.cpu + other.cpu))
            sys.stderr.write(f"floor {floors[-1]}\none {ones[-1]}\ntwo {twos[-1]}\n")
        held = memory(tree, [memory_images // 10, memory_images])
    ratios = [one.clock / bare.clock for one, bare in zip(ones, floors, strict=True)]
    cpu_ratios = [one.cpu / bare.cpu for one, bare in zip(ones, floors, strict=True)]
    # Steady state: what more images cost, without a pipeline's start and end.
    steady = [
        (one.clock - short_one.clock) / (two.clock - short_two.clock)
        for one, short_one, two, short_two in zip(ones, short_ones, twos, short_twos, strict=True)
    ]
    speedups = [one.clock / two.clock for one, two in zip(ones, twos, strict=True)]
    return {
        "floor_ratio": round(statistics.median(ratios), 3),
        "two_worker_speedup": round(statistics.median(steady), 3),
        "peak_mb": round(max(held), 1),
        "cpu_ratio": round(statistics.median(cpu_ratios), 3),
        "floor_ms": _milliseconds(floors, images),
        "convert_ms": _milliseconds(ones, images),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "steady_speedups": [round(speedup, 3) for speedup in steady],
        "whole_speedups": [round(speedup, 3) for speedup in speedups],
        "one_worker_images_per_s": round(images / statistics.median(one.clock for one in ones), 2),
        "two_worker_images_per_s": round(images / statistics.median(two.clock for two in twos), 2),
        "two_worker_cores": round(statistics.median(two.cpu / two.clock for two in twos), 2),
        "first_mb": round(held[0], 1),
        "last_mb": round(held[-1], 1),
        "memory_images": memory_images,
        "images": images,
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
    }


def _milliseconds(costs: list[Cost], images: int) -> float:
    return round(statistics.median(cost.clock for cost in costs) / images * 1000, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=400, help="of each conversion")
    parser.add_argument("--memory-images", type=int, default=2000, help="for the memory")
    parser.add_argument("--quick", action="store_true", help="few images, rough figures")
    told = parser.parse_args()
    chosen = (2, 48, 96) if told.quick else (told.rounds, told.images, told.memory_images)
    found = measure(*chosen)
    if told.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    lines = [
        ("floor (ms an image)", found["floor_ms"], ""),
        ("conversion (ms an image)", found["convert_ms"], ""),
        ("conversion / floor", found["floor_ratio"], "at most 1.4"),
        ("  of processor time", found["cpu_ratio"], ""),
        ("one worker (images a second)", found["one_worker_images_per_s"], ""),
        ("two workers (images a second)", found["two_worker_images_per_s"], ""),
        ("two workers / one, steady state", found["two_worker_speedup"], "at least 1.7"),
        ("  cores that two workers got", found["two_worker_cores"], ""),
        ("memory of a worker, peak (MB)", found["peak_mb"], "under 600"),
        (f"  converting {found['memory_images'] // 10} images", found["first_mb"], ""),
        (f"  converting {found['memory_images']}", found["last_mb"], "flat"),
    ]
    for name, value, wanted in lines:
        sys.stdout.write(f"{name:36} {value:>8}  {wanted}\n".rstrip() + "\n")


if __name__ == "__main__":
    main()
