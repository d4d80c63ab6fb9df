"""Class probabilities for a set of records."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from mammo_core.datasets.batches import Batch, BatchSource
from mammo_core.errors import ModelError
from mammo_core.training.prefetch import prefetch

ToNetwork = Callable[[npt.NDArray[np.uint16]], npt.NDArray[np.float32]]
Probabilities = npt.NDArray[np.float32]


def predict(
    model: keras.Model,
    source: BatchSource,
    to_network: ToNetwork,
    flips: bool = False,
    on_batch: Callable[[int], None] | None = None,
) -> tuple[list[str], Probabilities, npt.NDArray[np.int32]]:
    """Score every record once.

    Args:
        model: A patch or whole-image classifier.
        source: The records.
        to_network: `Preprocessing.to_network`.
        flips: Average the probabilities of the image and its three flips
            (original-system.md §7.5).
        on_batch: Called after each batch with its number of records.

    Returns:
        Ids, probabilities `(n, classes) float32, [0, 1]`, and labels `(n,) int32`, in the
        source's order.

    Raises:
        ModelError: The source has no records.
    """
    choose_compiler(model)
    ids: list[str] = []
    probabilities: list[Probabilities] = []
    labels: list[npt.NDArray[np.int32]] = []

    def prepared() -> Iterator[tuple[Batch, npt.NDArray[np.float32]]]:
        size = 0
        for batch in source.batches(0):
            size = max(size, len(batch.ids))
            images = to_network(batch.pixels)
            # One shape for all batches: no second trace, and the same sums in the same order.
            missing = size - len(batch.ids)
            yield batch, np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])

    with closing(prefetch(prepared())) as batches:
        for batch, images in batches:
            ids.extend(batch.ids)
            labels.append(batch.labels)
            probabilities.append(score(model, images, flips)[: len(batch.ids)])
            if on_batch is not None:
                on_batch(len(batch.ids))
    if not ids:
        raise ModelError(
            "There is nothing to predict", expected="1 record or more", received="no records"
        )
    return ids, np.concatenate(probabilities), np.concatenate(labels)


def score(model: keras.Model, images: npt.NDArray[np.float32], flips: bool) -> Probabilities:
    """Return the probabilities `(n, classes) float32` of `(n, h, w, c) float32` images."""
    images = to_channels(images, int(model.inputs[0].shape[-1]))
    views = [images]
    if flips:
        views += [images[:, :, ::-1], images[:, ::-1], images[:, ::-1, ::-1]]
    total: Any = sum(model.predict_on_batch(view) for view in views)
    return np.asarray(total / np.float32(len(views)), np.float32)


def to_channels(images: Any, channels: int) -> Any:
    """Make the equal channels of grey images on the device: a third of the bytes travels.

    Args:
        images: `(n, h, w, 1 or channels) float32`.
        channels: Of the model.

    Returns:
        `(n, h, w, channels) float32`.
    """
    if images.shape[-1] == channels:
        return images
    return ops.repeat(ops.convert_to_tensor(images), channels, axis=-1)


def choose_compiler(model: keras.Model, xla: bool | None = None) -> None:
    """Switch XLA off where it is slower: TensorFlow on a CPU (measured 1.3x)."""
    model.jit_compile = uses_xla(xla)


def uses_xla(told: bool | None = None) -> bool:
    """Whether to compile steps with XLA: as told, or on JAX, and with TensorFlow on a GPU."""
    if told is not None:
        return told
    return keras.backend.backend() != "tensorflow" or bool(keras.distribution.list_devices("gpu"))
