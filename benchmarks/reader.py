"""Measure how many images per second the reader of training gives, from a warm local store.

Images of 1152 x 896 in batches of 2, read from shards (nothing kept in memory between epochs),
shuffled, on two cores. The *bare* figure is tf.data reading the same TFRecord files in the same
run: batched and prefetched, not shuffled, nothing decoded. Rounds of both alternate. Processor
time is shown too: other work on the machine disturbs it less.

    PYTHONPATH=. .venv/bin/python benchmarks/reader.py [--json] [--quick]
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

HEIGHT, WIDTH, BATCH = 1152, 896, 2
PER_SHARD = 64


def make_dataset(folder: Path, images: int) -> str:
    """Publish a dataset of noise images; returns its id."""
    from mammo_core.datasets import ImageRecord, Manifest, publish
    from mammo_core.datasets.shards import write_shard
    from mammo_core.ingest.kinds import IMAGE_DATASET
    from mammo_core.store import open_store

    store = open_store(str(folder))
    dataset = Manifest(kind=IMAGE_DATASET.folder, id="bench", revision=1, config={}, files=())
    noise = np.random.default_rng(1).integers(0, 2**16, (HEIGHT, WIDTH), dtype=np.uint16)

    def records(start: int) -> Iterator[bytes]:
        for number in range(start, min(start + PER_SHARD, images)):
            pixels = np.roll(noise, number)
            yield ImageRecord(f"{number:064x}", pixels, (), HEIGHT, WIDTH).to_bytes()

    files = tuple(
        write_shard(store, dataset.folder, index, records(start))
        for index, start in enumerate(range(0, images, PER_SHARD))
    )
    return publish(store, dataset.model_copy(update={"files": files})).id


def _read_in_process(folder: Path, images: int, rounds: int, sender: Any) -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from mammo_core.datasets.readers import RecordSource
    from mammo_core.ingest.kinds import IMAGE_DATASET
    from mammo_core.store import open_store

    store = open_store(str(folder))
    manifest = IMAGE_DATASET.read(store, "bench")
    labels = {f"{number:064x}": number % 2 for number in range(images)}
    source = RecordSource(
        store, manifest, labels, classes=2, batch_size=BATCH, shuffle_seed=1, memory_bytes=0
    )

    def epoch(number: int) -> int:
        return sum(len(batch.ids) for batch in source.batches(number))

    peaks = [_peak_mb(lambda number=number: epoch(number)) for number in range(2 * rounds)]
    # TensorFlow is imported after the memory was measured: the reader does not need it.
    import tensorflow as tf

    files = [str(store.fetch(file.key)) for file in manifest.files_like("shard-")]

    def bare() -> int:
        records = tf.data.TFRecordDataset(files).batch(BATCH).prefetch(tf.data.AUTOTUNE)
        return sum(int(batch.shape[0]) for batch in records)

    ours, bare_rates = [], []
    bare()
    for number in range(rounds):
        bare_rates.append(_rates(bare, images))
        ours.append(_rates(lambda number=number: epoch(number), images))
    sender.send((ours, bare_rates, peaks))


def _rates(read: Callable[[], int], images: int) -> tuple[float, float]:
    """Return images per second of wall time and of processor time."""
    clock, cpu = time.perf_counter(), time.process_time()
    if read() != images:
        raise SystemExit("not every image was read")
    return images / (time.perf_counter() - clock), images / (time.process_time() - cpu)


def _peak_mb(work: Callable[[], Any]) -> float:
    """Return the peak resident memory (MB) of this process during some work."""
    peak, done = 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.01):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            peak = max(peak, pages * os.sysconf("SC_PAGE_SIZE") / 1e6)

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    done.set()
    watcher.join()
    return peak


def measure(images: int, rounds: int) -> dict[str, Any]:
    """Run the whole benchmark."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="mammo-benchmark-") as folder:
        make_dataset(Path(folder), images)
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(
            target=_read_in_process, args=(Path(folder), images, rounds, sender)
        )
        process.start()
        sender.close()
        try:
            ours, bare_rates, peaks = receiver.recv()
        except EOFError:
            raise SystemExit("the reading process ended early") from None
        process.join()
    ratios = [rate[0] / bare[0] for rate, bare in zip(ours, bare_rates, strict=True)]
    cpu_ratios = [rate[1] / bare[1] for rate, bare in zip(ours, bare_rates, strict=True)]
    return {
        "images_per_s": round(statistics.median(rate[0] for rate in ours), 1),
        "peak_mb": round(max(peaks), 1),
        "bare_images_per_s": round(statistics.median(bare[0] for bare in bare_rates), 1),
        "bare_ratio": round(statistics.median(ratios), 3),
        "images_per_cpu_s": round(statistics.median(rate[1] for rate in ours), 1),
        "bare_images_per_cpu_s": round(statistics.median(bare[1] for bare in bare_rates), 1),
        "bare_cpu_ratio": round(statistics.median(cpu_ratios), 3),
        "peak_mb_of_epochs": [round(peak, 1) for peak in peaks],
        "images": images,
        "batch": BATCH,
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--quick", action="store_true", help="few images, rough figures")
    options = parser.parse_args()
    result = measure(*((192, 3) if options.quick else (options.images, options.rounds)))
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return
    peaks = result["peak_mb_of_epochs"]
    lines = [
        ("images per second", result["images_per_s"], "at least 400, or 0.7 of the bare read"),
        ("bare TFRecord read", result["bare_images_per_s"], ""),
        ("reader / bare read", result["bare_ratio"], ""),
        ("images per second of processor time", result["images_per_cpu_s"], ""),
        ("  bare TFRecord read", result["bare_images_per_cpu_s"], ""),
        ("  reader / bare read", result["bare_cpu_ratio"], ""),
        ("memory, peak (MB)", result["peak_mb"], ""),
        ("  first epoch", peaks[0], ""),
        (f"  epoch {len(peaks)}", peaks[-1], "constant"),
    ]
    for name, value, target in lines:
        sys.stdout.write(f"{name:36} {value:>8}  {target}\n".rstrip() + "\n")


if __name__ == "__main__":
    main()
