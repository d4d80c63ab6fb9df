"""Measures how many images per second the input pipeline of training delivers, without a network.

Images of 1152 x 896 in batches of 2 are read from shards of a published dataset (shuffled,
not kept in memory between epochs), verified, scaled for the network and weighted, and their
augmentation parameters are drawn, in the thread that prefetches for the training step: everything
that the host does. The augmentation itself runs on the accelerator; `augmented` includes it, for a
host without one. *Bare* is tf.data reading the same TFRecord files in the same run, batched and
prefetched, without decoding. The rounds alternate.

    PYTHONPATH=. .venv/bin/python benchmarks/input.py [--json] [--quick]
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from reader import BATCH, make_dataset


def _reading(folder: Path, images: int, rounds: int, sender: Any) -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    from mammo_core.datasets.readers import RecordSource
    from mammo_core.ingest.kinds import IMAGE_DATASET
    from mammo_core.preprocessing import Geometry, Preprocessing
    from mammo_core.store import open_store
    from mammo_core.training import AugmentationConfig, FitConfig, StageConfig
    from mammo_core.training.augmentation import draw_parameters
    from mammo_core.training.batches import training_batches
    from mammo_core.training.memory.prefetch import prefetch

    store = open_store(str(folder))
    manifest = IMAGE_DATASET.read(store, "bench")
    labels = {f"{number:064x}": number % 2 for number in range(images)}
    preprocessing = Preprocessing(geometry=Geometry(height=1152, width=896), mean=52.18)
    augmentation = AugmentationConfig()

    def steps(memory: int, augmented: bool) -> Callable[[int], int]:
        source = RecordSource(
            store, manifest, labels, classes=2, batch_size=BATCH, shuffle_seed=1,
            memory_bytes=memory,
        )  # fmt: skip
        config = FitConfig(
            stages=(StageConfig(learning_rate=1, epochs=1),),
            augmentation=augmentation if augmented else None,
        )

        def epoch(number: int) -> int:
            batches = training_batches(
                source, number, preprocessing.to_network, config, 1, ("neg", "pos"), 1
            )
            count = 0
            with closing(prefetch(batches)) as ready:
                for batch in ready:
                    if not augmented:
                        draw_parameters(augmentation, 1, batch.ids, number, 1)
                    count += batch.count
            return count

        return epoch

    files = [str(store.fetch(file.key)) for file in manifest.files_like("shard-")]

    def bare(_: int) -> int:
        records = tf.data.TFRecordDataset(files).batch(BATCH).prefetch(tf.data.AUTOTUNE)
        return sum(int(batch.shape[0]) for batch in records)

    ways: dict[str, Callable[[int], int]] = {
        "bare": bare,
        "streamed": steps(0, augmented=False),
        "in_memory": steps(2**40, augmented=False),
        "augmented": steps(0, augmented=True),
    }
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            clock, cpu = time.perf_counter(), time.process_time()
            if way(number) != images:
                raise SystemExit("some images are missing")
            rate = images / (time.perf_counter() - clock), images / (time.process_time() - cpu)
            if number:  # the first round warms the caches
                rates[name].append(rate)
    sender.send(rates)


def measure(images: int, rounds: int) -> dict[str, Any]:
    """Measure everything in one run."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="mammo-benchmark-") as folder:
        make_dataset(Path(folder), images)
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_reading, args=(Path(folder), images, rounds, sender))
        process.start()
        sender.close()
        try:
            rates = receiver.recv()
        except EOFError:
            raise SystemExit("the process that read ended early") from None
        process.join()

    def median(name: str, part: int) -> float:
        return statistics.median(rate[part] for rate in rates[name])

    def against_bare(name: str, part: int) -> float:
        pairs = zip(rates[name], rates["bare"], strict=True)
        return round(statistics.median(rate[part] / bare[part] for rate, bare in pairs), 3)

    return {
        "images_per_s": round(median("streamed", 0), 1),
        "bare_images_per_s": round(median("bare", 0), 1),
        "bare_ratio": against_bare("streamed", 0),
        "images_per_cpu_s": round(median("streamed", 1), 1),
        "bare_images_per_cpu_s": round(median("bare", 1), 1),
        "bare_cpu_ratio": against_bare("streamed", 1),
        "in_memory_images_per_s": round(median("in_memory", 0), 1),
        "in_memory_images_per_cpu_s": round(median("in_memory", 1), 1),
        "augmented_images_per_s": round(median("augmented", 0), 1),
        "augmented_images_per_cpu_s": round(median("augmented", 1), 1),
        "images": images,
        "batch": BATCH,
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--quick", action="store_true", help="few images, rough figures")
    options = parser.parse_args()
    result = measure(*((96, 2) if options.quick else (options.images, options.rounds)))
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return
    targets = {"images_per_s": "at least 400, or 0.7 of the bare read"}
    for name, value in result.items():
        line = f"{name.replace('_', ' '):34} {value:>8}  {targets.get(name, '')}"
        sys.stdout.write(line.rstrip() + "\n")


if __name__ == "__main__":
    main()
