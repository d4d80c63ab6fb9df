"""Compare the cost of converting mammograms with the least it can cost.

Uncompressed 4664 x 3064 16-bit files with one lesion mask each are converted to 1152 x 896 records.
The floor is the same work without a pipeline, measured in the same run on the same files:
read, SHA-256, decode (pydicom), one area resize, one mask resize per lesion, OpenCV on one
thread, nothing written. The ratio is the median over interleaved rounds of whole conversions
(Beam's startup, checks, shards written, read back and published) to floors. `cpu_ratio` is the
ratio of processor times, which other work on the machine disturbs less.

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
#: Number of different files; the tables list each of them many times to save disk space.
DISTINCT = 24
#: Small shards, so that the last shard of the last worker is a small part of the work.
SHARD_MB = 8


@dataclass(frozen=True)
class Tree:
    """Image files with the mask of one lesion each."""

    root: Path
    files: list[tuple[str, str, str, str]]  # image, its SHA-256, mask, its SHA-256

    def tables(self, images: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return tables of that many images, as `index` writes them."""
        chosen = [self.files[number % len(self.files)] for number in range(images)]
        rows = [{"image_id": digest, "path": name} for name, digest, _, _ in chosen]
        lesions = [
            {"lesion_id": f"lesion_{name}", "image_id": d, "mask_path": m, "mask_sha256": md}
            for name, d, m, md in dict.fromkeys(chosen)
        ]
        return pd.DataFrame(rows), pd.DataFrame(lesions)


def make_tree(root: Path, distinct: int) -> Tree:
    """Write files with a textured breast and a round lesion."""
    row, column = np.ogrid[:ROWS, :COLUMNS]
    inside = (row - ROWS // 2) ** 2 + column**2 < 2200**2
    texture = np.random.default_rng(1).integers(0, 2**14, (ROWS, COLUMNS), dtype=np.uint16)
    files = []
    for number in range(distinct):
        pixels = np.where(inside, 20000 + number + texture, 0).astype("<u2")
        mask = (row - 1500 - 40 * number) ** 2 + (column - 900) ** 2 < 200**2
        image = _write(root / f"image_{number}.dcm", pixels, 2 * number)
        mask_digest = _write(
            root / f"mask_{number}.dcm", mask.astype(np.uint8) * 255, 2 * number + 1
        )
        files.append((f"image_{number}.dcm", image, f"mask_{number}.dcm", mask_digest))
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
    """The cost of some work: seconds of wall time and of processor time."""

    clock: float
    cpu: float

    @classmethod
    def since(cls, clock: float, cpu: float) -> "Cost":
        """Return the cost from these times until now."""
        return cls(time.perf_counter() - clock, time.process_time() - cpu)


def floor(tree: Tree, images: int) -> Cost:
    """Do the bare work on one thread."""
    cv2.setNumThreads(1)
    # In the order of the pipeline, so that caches help both equally.
    chosen = sorted(
        (tree.files[number % len(tree.files)] for number in range(images)), key=lambda f: f[1]
    )
    started = time.perf_counter(), time.process_time()
    for image, digest, mask, mask_digest in chosen:
        pixels = _floor_read(tree.root / image, digest)
        cv2.resize(pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        stored_mask = _floor_read(tree.root / mask, mask_digest)
        cv2.resize(stored_mask, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    return Cost.since(*started)


def _floor_read(path: Path, digest: str) -> Any:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise SystemExit(f"{path.name} changed")
    return pydicom.dcmread(io.BytesIO(data)).pixel_array


def convert(tree: Tree, images: int, workers: int) -> Cost:
    """Run a whole conversion; everything is imported before."""
    from mammo_core.ingest import ConvertConfig, RunnerConfig
    from mammo_core.ingest import convert as run
    from mammo_core.preprocessing import Geometry
    from mammo_core.store import open_store

    rows, lesions = tree.tables(images)
    config = ConvertConfig(geometry=Geometry(height=HEIGHT, width=WIDTH), shard_mb=SHARD_MB)
    with _temporary(tree.root / "store") as folder, contextlib.redirect_stdout(io.StringIO()):
        started = time.perf_counter(), time.process_time()
        manifest = run(
            open_store(str(folder)),
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
def _temporary(folder: Path) -> Iterator[Path]:
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def memory(tree: Tree, sizes: list[int]) -> list[float]:
    """Return the peak memory (MB) of a worker's process with its children, for each size."""
    return [peak for size in sizes for peak in _peaks(tree, size)]


def _peaks(tree: Tree, images: int) -> list[float]:
    batches = 1  # a new process for each size
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_convert_batches, args=(tree, batches, images, sender))
    process.start()
    peaks, peak = [], 0.0
    while True:
        peak = max(peak, _resident_mb(process.pid or 0))
        if receiver.poll(0.02):
            finished = receiver.recv()
            peaks.append(peak)
            peak = 0.0
            if finished == batches:
                break
        if not process.is_alive():
            raise SystemExit("the worker died")
    process.join()
    return peaks


def _convert_batches(tree: Tree, batches: int, images: int, sender: Any) -> None:
    for batch in range(batches):
        convert(tree, images, workers=1)
        sender.send(batch + 1)


def _resident_mb(pid: int) -> float:
    """Return the resident memory (MB) of a process and the processes it started."""
    total, waiting = 0.0, [pid]
    while waiting:
        current = waiting.pop()
        with contextlib.suppress(OSError, IndexError, ValueError):
            pages = int(Path(f"/proc/{current}/statm").read_text().split()[1])
            total += pages * os.sysconf("SC_PAGE_SIZE") / 1e6
            for task in Path(f"/proc/{current}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return total


def measure(rounds: int, images: int, memory_images: int) -> dict[str, Any]:
    """Run the whole benchmark."""
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
        peaks = memory(tree, [memory_images // 10, memory_images])
    ratios = [one.clock / bare.clock for one, bare in zip(ones, floors, strict=True)]
    cpu_ratios = [one.cpu / bare.cpu for one, bare in zip(ones, floors, strict=True)]
    # Steady state: the cost of additional images, without the start and end of the pipeline.
    steady = [
        (one.clock - short_one.clock) / (two.clock - short_two.clock)
        for one, short_one, two, short_two in zip(ones, short_ones, twos, short_twos, strict=True)
    ]
    speedups = [one.clock / two.clock for one, two in zip(ones, twos, strict=True)]
    return {
        "floor_ratio": round(statistics.median(ratios), 3),
        "two_worker_speedup": round(statistics.median(steady), 3),
        "peak_mb": round(max(peaks), 1),
        "cpu_ratio": round(statistics.median(cpu_ratios), 3),
        "floor_ms": _milliseconds(floors, images),
        "convert_ms": _milliseconds(ones, images),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "steady_speedups": [round(speedup, 3) for speedup in steady],
        "whole_speedups": [round(speedup, 3) for speedup in speedups],
        "one_worker_images_per_s": round(images / statistics.median(one.clock for one in ones), 2),
        "two_worker_images_per_s": round(images / statistics.median(two.clock for two in twos), 2),
        "two_worker_cores": round(statistics.median(two.cpu / two.clock for two in twos), 2),
        "first_mb": round(peaks[0], 1),
        "last_mb": round(peaks[-1], 1),
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
    options = parser.parse_args()
    chosen = (
        (2, 48, 96) if options.quick else (options.rounds, options.images, options.memory_images)
    )
    result = measure(*chosen)
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return
    lines = [
        ("floor (ms per image)", result["floor_ms"], ""),
        ("conversion (ms per image)", result["convert_ms"], ""),
        ("conversion / floor", result["floor_ratio"], "at most 1.4"),
        ("  of processor time", result["cpu_ratio"], ""),
        ("one worker (images per second)", result["one_worker_images_per_s"], ""),
        ("two workers (images per second)", result["two_worker_images_per_s"], ""),
        ("two workers / one, steady state", result["two_worker_speedup"], "at least 1.7"),
        ("  cores that two workers got", result["two_worker_cores"], ""),
        ("memory of a worker, peak (MB)", result["peak_mb"], "under 600"),
        (f"  converting {result['memory_images'] // 10} images", result["first_mb"], ""),
        (f"  converting {result['memory_images']}", result["last_mb"], "constant"),
    ]
    for name, value, target in lines:
        sys.stdout.write(f"{name:36} {value:>8}  {target}\n".rstrip() + "\n")


if __name__ == "__main__":
    main()
