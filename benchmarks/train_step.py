"""Measures how fast the networks run: images per second and the fraction of the device's peak.

ResNet50 and VGG16 on whole images of 1152 x 896 (with the paper's heads) and on patches of 224:
forward and training, with and without augmentation. Training is `train_on_batch` of the
library's own compiled step on batches prepared in advance, so input is not measured. FLOPs are
those of `mammo models describe`, two for a multiply-add, three passes for training.

The peak is that of the device at the precision, from its data sheet, if the device is listed here;
on a CPU it is measured with one large float32 matrix product in the same run. Memory is the peak of
the process on a CPU (its libraries alone take half a GiB), or of the device with JAX on a GPU.

    PYTHONPATH=. .venv/bin/python benchmarks/train_step.py [--json] [--quick]
        [--backend tensorflow|jax] [--precision float32|mixed_bfloat16] [--batch N]
        [--networks resnet50 vgg16] [--find-batch-size] [--rematerialize]
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZE, PATCH = (1152, 896), (224, 224)
#: Dense peaks in TFLOP/s (data sheets): float32 stands for TF32, the default of both backends.
PEAKS = {
    "H200": {"mixed_bfloat16": 989.0, "float32": 494.0},
    "H100": {"mixed_bfloat16": 989.0, "float32": 494.0},
    "A100": {"mixed_bfloat16": 312.0, "float32": 156.0},
}
HEADS: dict[str, dict[str, Any]] = {
    "resnet50": {"kind": "residual", "depths": (512, 512), "repetitions": (2, 2), "enlarge": 2},
    "vgg16": {"kind": "vgg", "depths": (512, 512), "repetitions": (1, 1)},
}


def _device() -> tuple[str, bool]:
    """Return the name of the accelerator or the CPU, and whether it is a GPU."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        device = jax.devices()[0]
        return str(device.device_kind), device.platform == "gpu"
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return str(tf.config.experimental.get_device_details(gpus[0])["device_name"]), True
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (names or ["CPU"])[0], False


def _peak(device: str, gpu: bool, precision: str) -> float | None:
    """Return the peak FLOP/s; None if it is unknown."""
    for name, peaks in PEAKS.items():
        if name in device:
            return peaks[precision] * 1e12
    if gpu:
        return None
    from keras import ops, random

    a = random.uniform((2048, 2048))
    seconds = _seconds(lambda: ops.convert_to_numpy(ops.matmul(a, a)[0, 0]), 5)
    return 2 * 2048**3 / seconds


def _seconds(work: Callable[[], Any], rounds: int) -> float:
    work()  # compiles
    durations = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations)


def _reset_peak() -> None:
    """Reset the peak memory of the process."""
    Path("/proc/self/clear_refs").write_text("5")


def _memory_gib() -> float:
    import keras

    if keras.backend.backend() == "jax":
        import jax

        stats = jax.devices()[0].memory_stats()
        if stats:
            return round(stats["peak_bytes_in_use"] / 2**30, 2)
    peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    return round(int(peak) / 2**20, 2)


def measure_one(
    network: str,
    whole: bool,
    batch: int,
    precision: str,
    rounds: int,
    peak: float | None,
    rematerialize: bool,
) -> list[dict[str, Any]]:
    """Measure forward, training, and training with augmentation of one network."""
    import numpy as np

    from mammo_core.models import HeadConfig, NetworkConfig, build_patch_network, to_whole_image
    from mammo_core.models.description import describe
    from mammo_core.models.precision import compute_in
    from mammo_core.training import AugmentationConfig, FitConfig, HardwareConfig, StageConfig
    from mammo_core.training.augmentation import augment, draw_parameters
    from mammo_core.training.inputs import to_channels
    from mammo_core.training.prediction import set_jit_compile
    from mammo_core.training.trainer import compile_trainer

    shape = SIZE if whole else PATCH
    model = build_patch_network(NetworkConfig(name=network, dropout=0.5), PATCH, 5, 0)
    if whole:
        model = to_whole_image(model, HeadConfig(**HEADS[network]), shape, classes=2, seed=0)
    classes = model.output_shape[-1]
    flops = 2 * int(describe(model, shape)["multiply_adds"])
    rng = np.random.default_rng(0)
    images = rng.uniform(-52, 203, (batch, *shape, 1)).astype(np.float32)
    targets = np.eye(classes, dtype=np.float32)[np.arange(batch) % classes]
    stage = StageConfig(learning_rate=1e-5, epochs=1, optimizer="adam")
    config = FitConfig(stages=(stage,), precision=precision)
    augmentation = AugmentationConfig()
    ids = [str(number) for number in range(batch)]
    ready = to_channels(images, 3)
    rows = []
    with compute_in(model, precision):
        set_jit_compile(model)
        trainer = compile_trainer(model, stage, config, HardwareConfig(rematerialize=rematerialize))

        def augmented() -> Any:
            parameters = draw_parameters(augmentation, 0, ids, 0, 3)
            return to_channels(augment(images, parameters, augmentation), 3)

        ways: dict[str, tuple[Callable[[], Any], int]] = {
            "forward": (lambda: model.predict_on_batch(ready), 1),
            "training": (lambda: trainer.train_on_batch(ready, targets, return_dict=True), 3),
            "training, augmented": (
                lambda: trainer.train_on_batch(augmented(), targets, return_dict=True),
                3,
            ),
        }
        for name, (work, passes) in ways.items():
            _reset_peak()
            seconds = _seconds(work, rounds)
            rate = batch / seconds
            rows.append(
                {
                    "network": network,
                    "input": f"{shape[0]}x{shape[1]}",
                    "what": name,
                    "batch": batch,
                    "images_per_s": round(rate, 3),
                    "gflop_per_image": round(passes * flops / 1e9, 1),
                    "share_of_peak": round(rate * passes * flops / peak, 4) if peak else None,
                    "memory_gib": _memory_gib(),
                }
            )
    plain, augmented_rate = rows[1]["images_per_s"], rows[2]["images_per_s"]
    rows[2]["augmentation_share"] = round(1 - augmented_rate / plain, 4)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--backend", choices=("tensorflow", "jax"), default="tensorflow")
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16"))
    parser.add_argument(
        "--batch", type=int, help="whole images per batch; patches: 4 or 16 times as many"
    )
    parser.add_argument("--networks", nargs="+", choices=tuple(HEADS), default=list(HEADS))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true", help="patches only, one round")
    parser.add_argument(
        "--rematerialize", action="store_true", help="store only the outputs of blocks"
    )
    parser.add_argument(
        "--find-batch-size", action="store_true", help="use the largest batch that fits"
    )
    options = parser.parse_args()
    os.environ["KERAS_BACKEND"] = options.backend
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    device, gpu = _device()
    precision = options.precision or ("mixed_bfloat16" if gpu else "float32")
    rounds = options.rounds or (1 if options.quick else 20 if gpu else 2)
    whole_batch = options.batch or (16 if gpu else 1)
    peak = _peak(device, gpu, precision)
    rows: list[dict[str, Any]] = []
    for network in options.networks:
        for whole in (False,) if options.quick else (False, True):
            batch = whole_batch if whole else (16 if gpu else 4) * whole_batch
            if options.find_batch_size and whole:
                batch = find_batch(network, precision, options.rematerialize)
            rows += measure_one(
                network, whole, batch, precision, rounds, peak, options.rematerialize
            )
    result = {
        "device": device,
        "backend": options.backend,
        "precision": precision,
        "rematerialize": options.rematerialize,
        "peak_tflops": round(peak / 1e12, 3) if peak else None,
        "peak_from": "data sheet" if gpu else "matrix product of 2048 in this run",
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "rows": rows,
    }
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return
    sys.stdout.write(
        f"{device}, {options.backend}, {precision}, peak "
        f"{result['peak_tflops']} TFLOP/s ({result['peak_from']})\n"
    )
    for row in rows:
        share = f"{row['share_of_peak']:8.1%}" if row["share_of_peak"] is not None else "       –"
        more = f"  costs {row['augmentation_share']:.1%}" if "augmentation_share" in row else ""
        sys.stdout.write(
            f"{row['network']:10} {row['input']:9} {row['what']:20} batch {row['batch']:3} "
            f"{row['images_per_s']:10.2f} images/s {share} of peak "
            f"{row['memory_gib']:6.2f} GiB{more}\n"
        )


def find_batch(network: str, precision: str, rematerialize: bool) -> int:
    """Return the largest batch of whole images that this device can train on."""
    from mammo_core.models import HeadConfig, NetworkConfig, build_patch_network, to_whole_image
    from mammo_core.training import FitConfig, HardwareConfig, StageConfig
    from mammo_core.training.memory.batch_size import find_batch_size

    model = build_patch_network(NetworkConfig(name=network), PATCH, 5, 0)
    model = to_whole_image(model, HeadConfig(**HEADS[network]), SIZE, classes=2, seed=0)
    stage = StageConfig(learning_rate=1e-5, epochs=1)
    config = FitConfig(stages=(stage,), precision=precision)
    hardware = HardwareConfig(rematerialize=rematerialize)
    return find_batch_size(model, config, SIZE, hardware=hardware)


if __name__ == "__main__":
    main()
