"""Measure the cost of one image in each network, and per multiply-add.

Patch networks with random weights, one image at a time, on the backend of the environment
(KERAS_BACKEND). In processor time, which other work on the machine disturbs little; the
first pass compiles and is not counted. `gmac_per_cpu_s` is high for networks whose work is in
convolutions that the library does efficiently.

    PYTHONPATH=. .venv/bin/python benchmarks/networks.py [--size HxW] [--json] [NAME …]
"""

import argparse
import json
import time
from typing import Any

import numpy as np

REPEATS = 3


def measure(name: str, size: tuple[int, int]) -> dict[str, Any]:
    """Build a network and pass one image through it."""
    from mammo_core.models import NETWORKS, NetworkConfig, build_patch_network, describe

    started = time.process_time()
    model = build_patch_network(NetworkConfig(name=name), size, 5, seed=0)  # type: ignore[arg-type]
    built = time.process_time() - started
    description = describe(model, size)
    shape = (1, *size, NETWORKS[name].channels)
    x = np.random.default_rng(0).normal(0, 60, shape).astype(np.float32)
    model.predict_on_batch(x)
    times = []
    for _ in range(REPEATS):
        started = time.process_time()
        model.predict_on_batch(x)
        times.append(time.process_time() - started)
    work = description["multiply_adds"] / 1e9
    return {
        "network": name,
        "parameters": description["parameters"],
        "gmac": round(work, 3),
        "build_cpu_s": round(built, 2),
        "image_cpu_s": round(min(times), 4),
        "gmac_per_cpu_s": round(work / min(times), 1),
    }


def main() -> None:
    from mammo_core.models import NETWORKS
    from mammo_core.models.printout import parse_size

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NAME", help="all unless given")
    parser.add_argument("--size", default="224x224", help="rows and columns")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    import keras

    names = options.networks or [name for name in NETWORKS if name != "resnet50_keras2"]
    size = parse_size(options.size)
    rows = [measure(name, size) for name in names]
    if options.json:
        result = {"backend": keras.backend.backend(), "size": list(size), "networks": rows}
        print(json.dumps(result))
        return
    print(f"{keras.backend.backend()}, one image of {options.size}")
    print("  ".join(f"{key:>16}" for key in rows[0]))
    for row in rows:
        print("  ".join(f"{value!s:>16}" for value in row.values()))


if __name__ == "__main__":
    main()
