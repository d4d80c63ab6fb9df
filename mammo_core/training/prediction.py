"""Class probabilities for a set of records."""

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import product
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mammo_core.datasets.batches import Batch, BatchSource
from mammo_core.errors import ModelError
from mammo_core.training.inputs import ToNetwork, to_channels, to_inputs
from mammo_core.training.memory.devices import device_count, gpus
from mammo_core.training.memory.prefetch import prefetch

Probabilities = npt.NDArray[np.float32]


def predict(
    model: keras.Model,
    source: BatchSource,
    to_network: ToNetwork,
    flips: bool = False,
    on_batch: Callable[[int], None] | None = None,
    xla: bool | None = None,
) -> tuple[list[str], Probabilities, npt.NDArray[np.int32]]:
    """Predict the class probabilities of every record.

    Args:
        model: A patch or whole-image classifier.
        source: The records.
        to_network: `Preprocessing.to_network`.
        flips: Average the probabilities of the image and its three flips
            (docs/original-system.md, "Test-time averaging").
        on_batch: Called after each batch with its number of records.
        xla: Compile with XLA; None: if it is faster.

    Returns:
        Ids, probabilities `(n, classes) float32, [0, 1]`, and labels `(n,) int32`, in the order
        of the source.

    Raises:
        ModelError: The source has no records.
    """
    set_jit_compile(model, xla)
    devices = device_count(model)
    ids: list[str] = []
    probabilities: list[Probabilities] = []
    labels: list[npt.NDArray[np.int32]] = []

    def prepared() -> Iterator[tuple[Batch, Any]]:
        size = 0
        channels = int(model.inputs[0].shape[-1])
        for batch in source.batches(0):
            size = max(size, -(-len(batch.ids) // devices) * devices)
            # All batches have one shape: no second trace, and the same sums in the same order.
            missing = size - len(batch.ids)
            pixels = batch.pixels
            if missing:
                pixels = np.concatenate([pixels, np.repeat(pixels[-1:], missing, axis=0)])
            ids = batch.ids + batch.ids[-1:] * missing
            yield (
                batch,
                to_inputs(pixels, ids, to_network, lambda x, _: to_channels(x, channels)),
            )

    with closing(prefetch(prepared())) as batches:
        for batch, images in batches:
            ids.extend(batch.ids)
            labels.append(batch.labels)
            probabilities.append(predict_batch(model, images, flips)[: len(batch.ids)])
            if on_batch is not None:
                on_batch(len(batch.ids))
    if not ids:
        raise ModelError(
            "There are no records to predict", expected="1 record or more", received="no records"
        )
    return ids, np.concatenate(probabilities), np.concatenate(labels)


def predict_batch(model: keras.Model, images: Any, flips: bool) -> Probabilities:
    """Return the probabilities `(n, classes) float32` of images.

    Args:
        model: A classifier.
        images: `(n, h, w, c) float32`, or a list of two for a two-view network.
        flips: Average over the image and its three flips.
    """
    views = [slice(None), slice(None, None, -1)] if flips else [slice(None)]
    total: Any = 0.0
    for rows, columns in product(views, views):
        flipped = [x[:, rows, columns] for x in (images if isinstance(images, list) else [images])]
        total = total + model.predict_on_batch(flipped if len(flipped) > 1 else flipped[0])
    return np.asarray(total / np.float32(len(views) ** 2), np.float32)


def set_jit_compile(model: keras.Model, xla: bool | None = None) -> None:
    """Disable XLA where it is slower: TensorFlow on a CPU (1.3x, measured)."""
    model.jit_compile = uses_xla(model, xla)


def uses_xla(model: keras.Model, xla: bool | None = None) -> bool:
    """Return whether steps are compiled with XLA: by default on JAX and with TensorFlow on a GPU.

    TensorFlow's XLA compiles for a single device, so it is never used when several share a batch.
    """
    if keras.backend.backend() != "tensorflow":
        return True if xla is None else xla
    if device_count(model) > 1:
        return False
    return gpus() > 0 if xla is None else xla
