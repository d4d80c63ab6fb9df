"""Measures the time and memory of a heatmap: one pass against a sliding window.

One image and one patch network (random weights, or those of a file), at the same positions and the
network's own stride: every window through the patch classifier, in batches; one pass of the fully
convolutional network; the same pass in tiles. Each runs in its own process, so that peak memory is
measured separately. `speedup` is the time of the windows divided by that of one pass, in processor
time (`cpu`), which other work on the machine affects less, and in wall-clock time (`wall`). The two
maps differ because of the padding at the edges of every window, which is not an error.

    PYTHONPATH=. .venv/bin/python benchmarks/heatmap.py [--json] [--quick]
"""

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROWS, COLUMNS, PATCH, NETWORK = 1152, 896, 224, "resnet50"
#: Side of a tile: the receptive field of one position of ResNet50 (675 pixels) and seven strides.
TILE = 928
#: Number of passes; the first also compiles and is not counted.
REPEATS = 3


def image(rows: int, columns: int, channels: int) -> np.ndarray[Any, Any]:
    """Return smooth shapes on the scale of mammograms, `(rows, columns, channels) float32`."""
    import cv2

    coarse = np.random.default_rng(0).normal(0, 60, (rows // 32, columns // 32)).astype("f4")
    gray = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC)
    return np.repeat(gray[:, :, np.newaxis], channels, axis=2)


def measure(way: str, options: argparse.Namespace, out: str) -> None:
    """Compute the map in one way, and write it with its times and memory."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from mammo_core.models import (
        NetworkConfig,
        build_patch_network,
        fully_convolutional,
        image_heatmap,
        load_model,
        sliding_window,
    )

    patch = options.patch
    model = (
        load_model(Path(options.model))
        if options.model
        else build_patch_network(NetworkConfig(name=options.network), (patch, patch), 5, seed=0)
    )
    pixels = image(options.rows, options.columns, model.inputs[0].shape[-1])
    rows, columns = options.rows, options.columns
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if way == "window":
        model.jit_compile = False  # faster here, as in the one pass
        stride = options.stride
        starts = tuple(np.arange((side - patch) // stride + 1) * stride for side in (rows, columns))
        model.predict_on_batch(np.zeros((options.batch, patch, patch, pixels.shape[-1]), "f4"))
        cpu, wall = time.process_time(), time.monotonic()
        result = sliding_window(
            model, pixels, patch, stride, starts=starts, batch_size=options.batch
        )
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    else:
        whole = fully_convolutional(model, patch)
        tile = options.tile if way == "tiles" else None
        spent = []
        for _ in range(1 + REPEATS):
            cpu, wall = time.process_time(), time.monotonic()
            result = image_heatmap(whole, pixels, patch, tile=tile)
            spent.append((time.process_time() - cpu, time.monotonic() - wall))
        cpu, wall = (float(np.median(each)) for each in zip(*spent[1:], strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    np.savez(out, values=result.values, costs=[cpu, wall, (peak - before) / 1024])


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all ways and compare the maps."""
    maps, costs = {}, {}
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        for way in ("one pass", "tiles", "window"):
            out = str(Path(folder) / f"{way}.npz")
            process = context.Process(target=measure, args=(way, options, out))
            process.start()
            process.join()
            if process.exitcode != 0:
                sys.exit(f"{way}: exit code {process.exitcode}")
            with np.load(out) as stored:
                maps[way], costs[way] = stored["values"], stored["costs"]
    window, whole = maps["window"], maps["one pass"]
    rows, columns = window.shape[:2]
    difference = np.abs(window - whole[:rows, :columns])
    cpu, wall = (float(costs["window"][k] / costs["one pass"][k]) for k in (0, 1))
    return {
        "network": Path(options.model).name if options.model else options.network,
        "image": [options.rows, options.columns],
        "patch": options.patch,
        "stride": options.stride,
        "windows": rows * columns,
        "positions": int(np.prod(whole.shape[:2])),
        "speedup": round(cpu, 1),
        "speedup_wall": round(wall, 1),
        **{
            f"{way.replace(' ', '_')}_{what}": round(float(costs[way][k]), 2)
            for way in maps
            for k, what in enumerate(("cpu_s", "wall_s", "memory_mib"))
        },
        "tile": options.tile,
        "tiles_difference": float(np.abs(maps["tiles"] - whole).max()),
        "window_difference_largest": round(float(difference.max()), 4),
        "window_difference_mean": round(float(difference.mean()), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--quick", action="store_true", help="use a small image and a small network"
    )
    parser.add_argument("--network", default=NETWORK)
    parser.add_argument(
        "--model", default="", help="a .keras file of a patch network, instead of random weights"
    )
    parser.add_argument(
        "--stride", type=int, default=0, help="stride of the network in that file, pixels"
    )
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--columns", type=int, default=COLUMNS)
    parser.add_argument("--patch", type=int, default=PATCH)
    parser.add_argument("--tile", type=int, default=TILE)
    parser.add_argument("--batch", type=int, default=32, help="windows per batch")
    options = parser.parse_args()
    if options.quick:
        options.network, options.rows, options.columns = "compact", 288, 224
        options.patch, options.tile = 56, 200
    from mammo_core.models import NETWORKS

    options.stride = options.stride or NETWORKS[options.network].stride
    result = run(options)
    if options.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:>26}  {value}")


if __name__ == "__main__":
    main()
