"""The largest batch that this machine trains a network on."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from mammo_core.errors import ModelError
from mammo_core.training.config import FitConfig, HardwareConfig
from mammo_core.training.devices import gpus, sharing
from mammo_core.training.fit import compiled, precision_of
from mammo_core.training.stages import open_all, open_layers

#: Part of the memory that is left free where batches are told by the memory they take.
_SPARE = 0.2
_FULL = ("RESOURCE_EXHAUSTED", "ResourceExhausted", "Out of memory", "OOM", "out of memory")


def find_batch_size(
    model: keras.Model,
    config: FitConfig,
    shape: tuple[int, int],
    largest: int = 512,
    hardware: HardwareConfig | None = None,
) -> int:
    """Return the largest power of two of images, for each device, that a training step takes.

    On a GPU batches are doubled until one does not fit. On a CPU, where that would end
    this process, the memory that one and two images take tells how many would fit. Where
    devices share batches, they begin with one image each.

    Args:
        model: A classifier; its weights are kept.
        config: The step: precision, loss, and the stages, of which the one that trains most
            counts.
        shape: `(h, w)` of the images, pixels.
        largest: Not tried beyond.
        hardware: What it runs on.

    Raises:
        ModelError: Not even one image fits.
    """
    weights = model.get_weights()
    stage = config.stages[-1]
    try:
        open_layers(model, stage)
        with precision_of(model, config.precision):
            trainer = compiled(model, stage, config, hardware or HardwareConfig())

            def step(count: int) -> None:
                _step(trainer, count, shape)

            least = sharing(model)
            if gpus():
                return _by_doubling(step, largest, least)
            return _by_memory(step, largest, least)
    finally:
        open_all(model)
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
        except Exception as error:  # each backend has its own kind
            if not any(word in f"{type(error).__name__} {error}" for word in _FULL):
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
    one = _peak_bytes()
    step(2 * least)
    each = max(_peak_bytes() - one, 2**20)
    room = max((1 - _SPARE) * _free_bytes(), 0)
    fits = 2 + int(room // each)  # of `least` images each
    doublings = fits.bit_length() - 1
    while doublings and least << doublings > largest:
        doublings -= 1
    return least << doublings


def _peak_bytes() -> int:
    told = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()
    return int(told[0]) * 1024


def _free_bytes() -> int:
    limits = [
        int(Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0]) * 1024,
    ]
    group = Path("/sys/fs/cgroup/memory.max")
    if group.is_file() and (told := group.read_text().strip()).isdecimal():
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        limits.append(int(told) - used)
    return min(limits)
