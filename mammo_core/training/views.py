"""What a network takes: one image, or both views of a breast."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

ToNetwork = Callable[[npt.NDArray[np.uint16]], npt.NDArray[np.float32]]
Change = Callable[[Any, list[str]], Any]


def to_inputs(
    pixels: npt.NDArray[np.uint16], ids: Sequence[str], to_network: ToNetwork, change: Change
) -> Any:
    """Turn a batch's pixels into what the network takes.

    Args:
        pixels: `(n, h, w) uint16`, or `(n, 2, h, w)` for both views of a breast, where a view
            of zeros is missing.
        ids: Of the n records.
        to_network: `Preprocessing.to_network`.
        change: Called with the images `(m, h, w, c)` and their ids: augmentation, channels.

    Returns:
        A tensor, or a list of two; a missing view is all zeros there too.
    """
    if pixels.ndim == 3:
        return change(to_network(pixels), list(ids))
    count, views, height, width = pixels.shape
    taken = pixels.any(axis=(2, 3)).reshape(-1, 1, 1, 1)
    names = [f"{name}/{view}" for name in ids for view in range(views)]
    images = change(to_network(pixels.reshape(-1, height, width)), names)
    images = ops.where(taken, images, ops.zeros_like(images))
    images = ops.reshape(images, (count, views, height, width, images.shape[-1]))
    return [images[:, view] for view in range(views)]


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
