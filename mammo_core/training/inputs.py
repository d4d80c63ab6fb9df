"""The input of a network: one image, or both views of a breast."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

ToNetwork = Callable[[npt.NDArray[np.uint16]], npt.NDArray[np.float32]]
Transform = Callable[[Any, list[str]], Any]


def to_inputs(
    pixels: npt.NDArray[np.uint16], ids: Sequence[str], to_network: ToNetwork, transform: Transform
) -> Any:
    """Turn the pixels of a batch into the network's input.

    Args:
        pixels: `(n, h, w) uint16`, or `(n, 2, h, w) uint16` for both views of a breast; a view
            of zeros is a missing one.
        ids: Ids of the n records.
        to_network: `Preprocessing.to_network`.
        transform: Called with the images `(m, h, w, c) float32` and their ids: augmentation,
            channels.

    Returns:
        A tensor `(n, h, w, c) float32` on the network's scale, or a list of two; a missing view is
        all zeros.
    """
    if pixels.ndim == 3:
        return transform(to_network(pixels), list(ids))
    count, views, height, width = pixels.shape
    present = pixels.any(axis=(2, 3)).reshape(-1, 1, 1, 1)
    names = [f"{name}/{view}" for name in ids for view in range(views)]
    images = transform(to_network(pixels.reshape(-1, height, width)), names)
    images = ops.where(present, images, ops.zeros_like(images))
    images = ops.reshape(images, (count, views, height, width, images.shape[-1]))
    return [images[:, view] for view in range(views)]


def to_channels(images: Any, channels: int) -> Any:
    """Repeat the channel of gray images on the device, so that a third of the bytes is copied.

    Args:
        images: `(n, h, w, 1 or channels) float32`.
        channels: Channels of the model.

    Returns:
        `(n, h, w, channels) float32`.
    """
    if images.shape[-1] == channels:
        return images
    return ops.repeat(ops.convert_to_tensor(images), channels, axis=-1)
