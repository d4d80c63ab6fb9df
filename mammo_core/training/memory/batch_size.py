"""The largest batch with which this machine can train a network."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from mammo_core.errors import ModelError
from mammo_core.models.precision import compute_in
from mammo_core.training.config import FitConfig, HardwareConfig
from mammo_core.training.memory.devices import device_count, gpus
from mammo_core.training.stages import set_all_trainable, set_trainable
from mammo_core.training.trainer import compile_trainer

#: Fraction of the memory left free when the batch size is estimated.
_RESERVE = 0.2
_OUT_OF_MEMORY = (
    "RESOURCE_EXHAUSTED",
    "ResourceExhausted",
    "Out of memory",
    "OOM",
    "out of memory",
)


def find_batch_size(
    model: keras.Model,
    config: FitConfig,
    shape: tuple[int, int],
    largest: int = 512,
    hardware: HardwareConfig | None = None,
) -> int:
    """Return the largest power of two of images per device that fits into a training step.

    On a GPU, batches are doubled until one does not fit. On a CPU, where that would end this
    process, the number is estimated from the memory of steps of one and two images. If devices
    share batches, the first batch has one image for each.

    Args:
        model: A classifier; its weights are not changed.
        config: Precision, loss and stages; the last stage, which trains most, is measured.
        shape: `(h, w)` of the images, pixels.
        largest: Upper limit.
        hardware: Hardware options.

    Raises:
        ModelError: Not even one image fits.
    """
    weights = model.get_weights()
    stage = config.stages[-1]
    try:
        set_trainable(model, stage)
        with compute_in(model, config.precision):
            trainer = compile_trainer(model, stage, config, hardware or HardwareConfig())

            def step(count: int) -> None:
                _step(trainer, count, shape)

            least = device_count(model)
            if gpus():
                return _by_doubling(step, largest, least)
            return _by_memory(step, largest, least)
    finally:
        set_all_trainable(model)
        model.set_weights(weights)


def _step(trainer: keras.Model, count: int, shape: tuple[int, int]) -> None:
    images = [np.zeros((count, *shape, x.shape[-1]), np.float32) for x in trainer.inputs]
    targets = np.eye(trainer.output_shape[-1], dtype=np.float32)[np.zeros(count, int)]
    trainer.train_on_batch(images if len(images) > 1 else images[0], targets)


def _by_doubling(step: Callable[[int], None], largest: int, least: int = 1) -> int:
    fits, count = 0, least
    while count <= max(largest, least):
        try:
            step(count)
        except Exception as error:  # each backend raises its own class
            if not any(word in f"{type(error).__name__} {error}" for word in _OUT_OF_MEMORY):
                raise
            break
        fits, count = count, 2 * count
    if not fits:
        raise ModelError(
            "Not even one image of this size fits into the memory of the device",
            expected="a step of one image",
            received="out of memory",
            hint="Use precision mixed_bfloat16, or smaller images",
        )
    return fits


def _by_memory(step: Callable[[int], None], largest: int, least: int = 1) -> int:
    step(least)
    first = _peak_bytes()
    step(2 * least)
    each = max(_peak_bytes() - first, 2**20)
    room = max((1 - _RESERVE) * _free_bytes(), 0)
    fits = 2 + int(room // each)  # of `least` images each
    doublings = fits.bit_length() - 1
    while doublings and least << doublings > largest:
        doublings -= 1
    return least << doublings


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def _free_bytes() -> int:
    limits = [
        int(Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0]) * 1024,
    ]
    group = Path("/sys/fs/cgroup/memory.max")
    if group.is_file() and (limit := group.read_text().strip()).isdecimal():
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        limits.append(int(limit) - used)
    return min(limits)
