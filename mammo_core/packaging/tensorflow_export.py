"""From stored pixels to the probability, in TensorFlow operations.

It computes the same numbers as `Preprocessing.to_network` and `Package.predict`, for servers
that do not run this library. It is imported only for exports.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from mammo_core.evaluation.aggregate import Unit, unit_of
from mammo_core.models.config import VIEWS
from mammo_core.packaging.prediction import named_inputs, positive_column
from mammo_core.preprocessing import TARGET_SCALE, Preprocessing


@dataclass(frozen=True)
class ServingFunctions:
    """The functions that a server calls.

    Attributes:
        module: Owns the variables of the network.
        specifications: Input of `batch`: `pixels`, or `cc` and `mlo` for both views.
        batch: Takes each `(n, H, W) uint16`, returns `malignant_probability (n,) float32`.
        unit: `image` or `breast`.
        single: Takes each `(H, W) uint16`, returns `malignant_probability () float32`.
    """

    module: Any
    specifications: list[Any]
    batch: Any
    unit: Unit
    single: Any


def serving_functions(
    model: Any, preprocessing: Preprocessing, label_map: Mapping[str, int]
) -> ServingFunctions:
    """Return the functions of a network; nothing is computed yet.

    Args:
        model: A `keras.Model` on the TensorFlow backend.
        preprocessing: How pixels reach it.
        label_map: Its classes.
    """
    geometry = preprocessing.geometry
    width = None if geometry.resize == "height" else geometry.width
    column = positive_column(model.output_shape[-1], label_map)

    unit = unit_of(model)
    names = VIEWS if unit == "breast" else ("pixels",)

    def probabilities(*views: Any) -> Any:
        inputs = [_network_input(pixels, preprocessing) for pixels in views]
        if unit == "breast":
            inputs = [
                tf.where(_taken(pixels), x, 0.0) for pixels, x in zip(views, inputs, strict=True)
            ]
        outputs = model(inputs if unit == "breast" else inputs[0], training=False)
        return tf.clip_by_value(tf.cast(outputs[:, column], tf.float32), 0.0, 1.0)

    def single_probability(*views: Any) -> Any:
        return probabilities(*(view[tf.newaxis] for view in views))[0]

    module = tf.Module()
    module.network = model
    size = (geometry.height, width)
    many = [tf.TensorSpec((None, *size), tf.uint16, name=name) for name in names]
    single = [tf.TensorSpec(size, tf.uint16, name=name) for name in names]
    return ServingFunctions(
        module,
        many,
        _named(probabilities, many),
        unit,
        _named(single_probability, single),
    )


def _named(function: Any, specifications: list[Any]) -> Any:
    """Return a TensorFlow function whose arguments have the names that servers use."""

    def of_image(pixels: Any) -> dict[str, Any]:
        return {"malignant_probability": function(pixels)}

    def of_breast(cc: Any, mlo: Any) -> dict[str, Any]:
        return {"malignant_probability": function(cc, mlo)}

    named = of_image if len(specifications) == 1 else of_breast
    return tf.function(named, input_signature=specifications, autograph=False)


def write_saved_model(
    functions: ServingFunctions, folder: Path, pixels: npt.NDArray[np.uint16]
) -> npt.NDArray[np.float32]:
    """Write a SavedModel, read it back, and return its probabilities for some pixels.

    Args:
        functions: From `serving_functions`.
        folder: Folder to write to.
        pixels: `(n, H, W) uint16, [0, 65535]`, or `(n, 2, H, W)` of breasts.

    Returns:
        `(n,) float32, [0, 1]`.
    """
    tf.saved_model.save(
        functions.module,
        str(folder),
        signatures={"serving_default": functions.batch, functions.unit: functions.single},
    )
    # It holds a random identifier, and no server asks for it: equal networks give equal bytes.
    (folder / "fingerprint.pb").unlink(missing_ok=True)
    # Object stores do not keep empty folders.
    for empty in [path for path in folder.iterdir() if path.is_dir() and not any(path.iterdir())]:
        empty.rmdir()
    serving = tf.saved_model.load(str(folder)).signatures["serving_default"]
    inputs = {name: tf.constant(array) for name, array in named_inputs(pixels).items()}
    return np.asarray(serving(**inputs)["malignant_probability"], np.float32)


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


def _taken(pixels: Any) -> Any:
    """Whether each view of a batch was taken: `(n, 1, 1, 1) bool`."""
    top = tf.reduce_max(tf.cast(pixels, tf.int32), axis=(1, 2), keepdims=True)
    return (top > 0)[..., tf.newaxis]


def _eight_bit(pixels: Any, top: Any, by_maximum: bool) -> Any:
    """`imaging.to_eight_bit`, or 257 levels to one: `(n, H, W) int32, [0, 255]`."""
    levels = tf.cast(pixels, tf.int32)
    if not by_maximum:
        return levels // 257
    share = tf.cast(levels, tf.float64) * 255 / tf.cast(tf.maximum(top, 1), tf.float64)
    return tf.cast(share, tf.int32)


def _equalized(levels: Any) -> Any:
    """cv2.equalizeHist, image by image."""

    def equalize(image: Any) -> Any:
        counts = tf.math.bincount(tf.reshape(image, (-1,)), minlength=256, maxlength=256)
        darkest = tf.reduce_min(image)
        below = counts[darkest]
        rest = tf.size(image) - below
        scale = 255.0 / tf.cast(tf.maximum(rest, 1), tf.float32)
        table = tf.round(tf.cast(tf.cumsum(counts) - below, tf.float32) * scale)
        table = tf.clip_by_value(tf.cast(table, tf.int32), 0, 255)
        # An image of a single gray level is unchanged.
        return tf.where(rest > 0, tf.gather(table, image), image)

    return tf.map_fn(equalize, levels)
