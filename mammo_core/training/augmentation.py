"""Augmentation of a batch on the device, from parameters drawn per record on the host."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

from mammo_core.seeds import generator
from mammo_core.training.config import AugmentationConfig

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class AugmentationParameters:
    """The random parameters of n images.

    Attributes:
        rotation: `(n,) float64`, degrees.
        shear: `(n,) float64`, radians.
        zoom_rows: `(n,) float64`, factor along rows; below 1 enlarges.
        zoom_columns: `(n,) float64`, factor along columns.
        shift: `(n, 1 or channels) float64`, on the 0..255 scale.
        flip_rows: `(n,) bool`, top and bottom swapped.
        flip_columns: `(n,) bool`, left and right swapped.
    """

    rotation: Floats
    shear: Floats
    zoom_rows: Floats
    zoom_columns: Floats
    shift: Floats
    flip_rows: Flags
    flip_columns: Flags


def draw_parameters(
    config: AugmentationConfig, seed: int, ids: Sequence[str], epoch: int, channels: int
) -> AugmentationParameters:
    """Draw the parameters of records.

    Each record has its own generator, so its parameters do not depend on its batch. Every number
    is drawn whether it is used or not, so switching one change off does not affect the others.

    Args:
        config: The ranges.
        seed: The run's seed.
        ids: The n record ids.
        epoch: Number of the epoch.
        channels: Channels of the images.
    """
    uniform = np.empty((len(ids), 6 + channels))
    for row, record in zip(uniform, ids, strict=True):
        generator(seed, "augment", record, epoch).random(out=row)
    signed = 2 * uniform - 1
    low, high = config.zoom
    return AugmentationParameters(
        rotation=config.rotation_degrees * signed[:, 0],
        shear=config.shear * signed[:, 1],
        zoom_rows=low + (high - low) * uniform[:, 2],
        zoom_columns=low + (high - low) * uniform[:, 3],
        flip_rows=config.flip_rows & (uniform[:, 4] < 0.5),
        flip_columns=config.flip_columns & (uniform[:, 5] < 0.5),
        shift=config.intensity_shift * signed[:, 6 : 6 + (channels if config.per_channel else 1)],
    )


def augment(images: Any, parameters: AugmentationParameters, config: AugmentationConfig) -> Any:
    """Augment a batch.

    The order is the original's: rotation, shear and zoom in one affine transform; shift,
    clipped to the transformed image's own range; flips (they commute with the shift, so they
    are part of the transform here). The original subtracts the mean afterwards: a constant,
    which commutes with everything.

    Args:
        images: `(n, h, w, c) float32` on the network's scale (0..255 less the mean).
        parameters: Parameters of the n images.
        config: Interpolation and fill.

    Returns:
        A float32 tensor of the same shape; if the images have one channel, with as many channels
        as the shift.
    """
    images = ops.convert_to_tensor(images, dtype="float32")
    height, width = images.shape[1:3]
    if config.affine:
        # A constant fill is 0, so the darkest value of each image is shifted to 0 meanwhile.
        if config.fill == "constant":
            darkest = ops.amin(images, axis=(1, 2, 3), keepdims=True)
            images = images - darkest
        images = ops.image.affine_transform(
            images,
            _matrices(parameters, height, width),
            interpolation=config.interpolation,
            fill_mode=config.fill,
            data_format="channels_last",
        )
        if config.fill == "constant":
            images = images + darkest
    else:
        for flip, axis in ((parameters.flip_rows, 1), (parameters.flip_columns, 2)):
            if flip.any():
                images = ops.where(flip[:, None, None, None], ops.flip(images, axis=axis), images)
    if parameters.shift.any():
        low = ops.amin(images, axis=(1, 2, 3), keepdims=True)
        high = ops.amax(images, axis=(1, 2, 3), keepdims=True)
        shift = ops.cast(parameters.shift[:, None, None, :], "float32")
        images = ops.clip(images + shift, low, high)
    return images


def _matrices(
    parameters: AugmentationParameters, height: int, width: int
) -> npt.NDArray[np.float32]:
    """Return `(n, 8)` transforms from output to input pixels, (x, y) = (column, row).

    Keras 2.0.8 composes rotation, shear and zoom on (row, column) about
    (h / 2 + 0.5, w / 2 + 0.5).
    """
    count = len(parameters.rotation)
    angle = np.deg2rad(parameters.rotation)
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.stack([cos, -sin, sin, cos], axis=1).reshape(count, 2, 2)
    shear = np.zeros((count, 2, 2))
    shear[:, 0, 0], shear[:, 0, 1] = 1, -np.sin(parameters.shear)
    shear[:, 1, 1] = np.cos(parameters.shear)
    zoom = np.zeros((count, 2, 2))
    zoom[:, 0, 0], zoom[:, 1, 1] = parameters.zoom_rows, parameters.zoom_columns
    linear = rotation @ shear @ zoom
    center = np.array([height / 2 + 0.5, width / 2 + 0.5])
    offset = center - linear @ center
    # A flip after the transform: output row r shows what row h - 1 - r would show.
    for axis, (flip, side) in enumerate(
        ((parameters.flip_rows, height), (parameters.flip_columns, width))
    ):
        offset += np.where(flip, side - 1, 0)[:, None] * linear[:, :, axis]
        linear[:, :, axis] *= np.where(flip, -1, 1)[:, None]
    return np.stack(
        [
            linear[:, 1, 1],
            linear[:, 1, 0],
            offset[:, 1],
            linear[:, 0, 1],
            linear[:, 0, 0],
            offset[:, 0],
            np.zeros(count),
            np.zeros(count),
        ],
        axis=1,
    ).astype(np.float32)
