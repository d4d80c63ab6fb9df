"""The way from stored pixels to the probability, in TensorFlow's operations.

The same numbers as `Preprocessing.to_network` and `Package.predict`, for servers that run no
Python of ours. Imported only where a package is exported.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from mammo_core.packaging.prediction import positive_column
from mammo_core.preprocessing import TARGET_SCALE, Preprocessing


@dataclass(frozen=True)
class ServingFunctions:
    """What a server calls.

    Attributes:
        module: Holds the network's variables.
        specification: Of `pixels`.
        batch: `(n, H, W) uint16` → `malignant_probability (n,) float32`.
        image: `(H, W) uint16` → `malignant_probability () float32`.
    """

    module: Any
    specification: Any
    batch: Any
    image: Any


def serving_functions(
    model: Any, preprocessing: Preprocessing, label_map: Mapping[str, int]
) -> ServingFunctions:
    """Make the functions of a network; nothing is computed yet.

    Args:
        model: A `keras.Model` on the TensorFlow backend.
        preprocessing: The way pixels reach it.
        label_map: Its classes.
    """
    geometry = preprocessing.geometry
    width = None if geometry.resize == "height" else geometry.width
    column = positive_column(model.output_shape[-1], label_map)

    def probabilities(pixels: Any) -> Any:
        outputs = model(_network_input(pixels, preprocessing), training=False)
        return tf.clip_by_value(tf.cast(outputs[:, column], tf.float32), 0.0, 1.0)

    def batch(pixels: Any) -> dict[str, Any]:
        return {"malignant_probability": probabilities(pixels)}

    def image(pixels: Any) -> dict[str, Any]:
        return {"malignant_probability": probabilities(pixels[tf.newaxis])[0]}

    module = tf.Module()
    module.network = model
    many = tf.TensorSpec((None, geometry.height, width), tf.uint16, name="pixels")
    one = tf.TensorSpec((geometry.height, width), tf.uint16, name="pixels")
    return ServingFunctions(
        module,
        many,
        tf.function(batch, input_signature=[many], autograph=False),
        tf.function(image, input_signature=[one], autograph=False),
    )


def write_saved_model(
    functions: ServingFunctions, folder: Path, pixels: npt.NDArray[np.uint16]
) -> npt.NDArray[np.float32]:
    """Write a SavedModel, read it back, and return what it gives for some pixels.

    Args:
        functions: Of `serving_functions`.
        folder: Where to.
        pixels: `(n, H, W) uint16, [0, 65535]`.
    """
    tf.saved_model.save(
        functions.module,
        str(folder),
        signatures={"serving_default": functions.batch, "image": functions.image},
    )
    # Empty, and object stores know no folders.
    for empty in [path for path in folder.iterdir() if path.is_dir() and not any(path.iterdir())]:
        empty.rmdir()
    serving = tf.saved_model.load(str(folder)).signatures["serving_default"]
    found = serving(pixels=tf.constant(pixels))["malignant_probability"]
    return np.asarray(found, np.float32)


def _network_input(pixels: Any, preprocessing: Preprocessing) -> Any:
    """`Preprocessing.to_network`."""
    by_maximum = preprocessing.intensity == "image_max"
    top = tf.reduce_max(tf.cast(pixels, tf.int32), axis=(1, 2), keepdims=True)
    if preprocessing.equalize:
        values = tf.cast(_equalized(_eight_bit(pixels, top, by_maximum)), tf.float32)
        factor = (
            preprocessing.target_scale / TARGET_SCALE
            if by_maximum
            else np.float32(preprocessing.rescale_factor) * np.float32(257)
        )
    else:
        values = tf.cast(pixels, tf.float32)
        factor = preprocessing.rescale_factor
        if by_maximum:
            scaled = preprocessing.target_scale / tf.cast(tf.maximum(top, 1), tf.float32)
            factor = tf.where(top > 0, scaled, 1.0)
    values = values * factor - preprocessing.mean
    return tf.repeat(values[..., tf.newaxis], preprocessing.channels, axis=-1)


def _eight_bit(pixels: Any, top: Any, by_maximum: bool) -> Any:
    """`imaging.eight_bit`, or 257 levels to one: `(n, H, W) int32, [0, 255]`."""
    levels = tf.cast(pixels, tf.int32)
    if not by_maximum:
        return levels // 257
    share = tf.cast(levels, tf.float64) * 255 / tf.cast(tf.maximum(top, 1), tf.float64)
    return tf.cast(share, tf.int32)


def _equalized(levels: Any) -> Any:
    """cv2.equalizeHist, image by image."""

    def one(image: Any) -> Any:
        counts = tf.math.bincount(tf.reshape(image, (-1,)), minlength=256, maxlength=256)
        darkest = tf.reduce_min(image)
        below = counts[darkest]
        rest = tf.size(image) - below
        scale = 255.0 / tf.cast(tf.maximum(rest, 1), tf.float32)
        table = tf.round(tf.cast(tf.cumsum(counts) - below, tf.float32) * scale)
        table = tf.clip_by_value(tf.cast(table, tf.int32), 0, 255)
        # One gray level only: left as it is.
        return tf.where(rest > 0, tf.gather(table, image), image)

    return tf.map_fn(one, levels)
