"""How fast the networks run: images a second, and the share of the device's peak.

ResNet50 and VGG16 on whole images of 1152 x 896 (with the paper's heads) and on patches of 224:
forward and training, with and without augmentation. Training is `train_on_batch` of the
library's own compiled step on batches that are made ahead, so input is not what is measured.
FLOPs are those of `mammo models describe`, two for a multiply-add, three passes for training.

The peak is that of the device at the precision, from its data sheet, where the device is known;
on a CPU it is measured: one large float32 matrix product in the same run. Memory is the most that
the process had at once on a CPU (its libraries alone take half a GiB), that the device had with
JAX on a GPU.

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
    """Name of the accelerator, or of the CPU, and whether it is a GPU."""
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
    """FLOP/s at best."""
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
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def _forget_peak() -> None:
    """Let the process's highest memory be counted anew."""
    Path("/proc/self/clear_refs").write_text("5")


def _memory_gib() -> float:
    import keras

    if keras.backend.backend() == "jax":
        import jax

        stats = jax.devices()[0].memory_stats()
        if stats:
            return round(stats["peak_bytes_in_use"] / 2**30, 2)
    told = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()
    return round(int(told[0]) / 2**20, 2)


def measure_one(
    network: str,
    whole: bool,
    batch: int,
    precision: str,
    rounds: int,
    peak: float | None,
    rematerialize: bool,
) -> list[dict[str, Any]]:
    """Forward, training, and training with augmentation of one network."""
    import numpy as np

    from mammo_core.models import HeadConfig, NetworkConfig, build_patch_network, to_whole_image
    from mammo_core.models.description import describe
    from mammo_core.training import AugmentationConfig, FitConfig, HardwareConfig, StageConfig
    from mammo_core.training.augmentation import augment, draw_parameters
    from mammo_core.models.precision import compute_in
    from mammo_core.training.trainer import compile_trainer
    from mammo_core.training.prediction import set_jit_compile
    from mammo_core.training.inputs import to_channels

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
            drawn = draw_parameters(augmentation, 0, ids, 0, 3)
            return to_channels(augment(images, drawn, augmentation), 3)

        ways: dict[str, tuple[Callable[[], Any], int]] = {
            "forward": (lambda: model.predict_on_batch(ready), 1),
            "training": (lambda: trainer.train_on_batch(ready, targets, return_dict=True), 3),
            "training, augmented": (
                lambda: trainer.train_on_batch(augmented(), targets, return_dict=True),
                3,
            ),
        }
        for name, (work, passes) in ways.items():
            _forget_peak()
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
    plain, with_it = rows[1]["images_per_s"], rows[2]["images_per_s"]
    rows[2]["augmentation_share"] = round(1 - with_it / plain, 4)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--backend", choices=("tensorflow", "jax"), default="tensorflow")
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16"))
    parser.add_argument("--batch", type=int, help="whole images; patches take 16 times as many")
    parser.add_argument("--networks", nargs="+", choices=tuple(HEADS), default=list(HEADS))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true", help="patches only, one round")
    parser.add_argument(
        "--rematerialize", action="store_true", help="keep only what passes between blocks"
    )
    parser.add_argument(
        "--find-batch-size", action="store_true", help="the largest that trains, by doubling"
    )
    told = parser.parse_args()
    os.environ["KERAS_BACKEND"] = told.backend
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    device, gpu = _device()
    precision = told.precision or ("mixed_bfloat16" if gpu else "float32")
    rounds = told.rounds or (1 if told.quick else 20 if gpu else 2)
    whole_batch = told.batch or (16 if gpu else 1)
    peak = _peak(device, gpu, precision)
    rows: list[dict[str, Any]] = []
    for network in told.networks:
        for whole in (False,) if told.quick else (False, True):
            batch = whole_batch if whole else (16 if gpu else 4) * whole_batch
            if told.find_batch_size and whole:
                batch = find_batch(network, precision, told.rematerialize)
            rows += measure_one(network, whole, batch, precision, rounds, peak, told.rematerialize)
    found = {
        "device": device,
        "backend": told.backend,
        "precision": precision,
        "rematerialize": told.rematerialize,
        "peak_tflops": round(peak / 1e12, 3) if peak else None,
        "peak_from": "data sheet" if gpu else "matrix product of 2048 in this run",
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "rows": rows,
    }
    if told.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    sys.stdout.write(
        f"{device}, {told.backend}, {precision}, peak "
        f"{found['peak_tflops']} TFLOP/s ({found['peak_from']})\n"
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
    """The largest batch of whole images that trains on this device."""
    from mammo_core.models import HeadConfig, NetworkConfig, build_patch_network, to_whole_image
    from mammo_core.training import FitConfig, HardwareConfig, StageConfig
    from mammo_core.training.batch_size import find_batch_size

    model = build_patch_network(NetworkConfig(name=network), PATCH, 5, 0)
    model = to_whole_image(model, HeadConfig(**HEADS[network]), SIZE, classes=2, seed=0)
    stage = StageConfig(learning_rate=1e-5, epochs=1)
    config = FitConfig(stages=(stage,), precision=precision)
    hardware = HardwareConfig(rematerialize=rematerialize)
    return find_batch_size(model, config, SIZE, hardware=hardware)


if __name__ == "__main__":
    main()
