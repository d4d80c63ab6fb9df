"""The supported layers of Keras 2.0.8: an allow-list with every setting of each.

Other layers (Lambda, recurrent layers, code) are rejected by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keras import layers

from mammo_core.errors import ModelError
from mammo_core.models.keras2 import settings as validators
from mammo_core.models.keras2.settings import SettingError, Validator


@dataclass(frozen=True)
class WeightSlot:
    """A weight of a layer class.

    Attributes:
        kind: Its name in the layer, `kernel`.
        trainable: Whether training changes it (not the statistics of batch normalization).
        only_if: The setting that must be true for the weight to exist, or empty.
    """

    kind: str
    trainable: bool = True
    only_if: str = ""


@dataclass(frozen=True)
class LayerClass:
    """A supported layer class.

    Attributes:
        cls: The class in Keras 3.
        settings: Every setting that affects what the layer computes; all are required.
        optional: Settings that may be missing (regularizers, and those of later versions).
        weights: In the order of Keras 2.0.8.
        multiple_inputs: Whether it takes a list of inputs.
        renamed: Settings with another name in Keras 3.
        unused: Settings of Keras 2 that have no effect here.
    """

    cls: Any
    settings: Mapping[str, Validator] = field(default_factory=dict)
    optional: Mapping[str, Validator] = field(default_factory=dict)
    weights: tuple[WeightSlot, ...] = ()
    multiple_inputs: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()


_ALWAYS: Mapping[str, Validator] = {
    "name": validators.require_name,
    "trainable": validators.require_flag,
    "dtype": validators.require_float32,
    "batch_input_shape": validators.require_batch_shape,
}
_LAST: Mapping[str, Validator] = {"data_format": validators.require_channels_last}


def _extras(*weights: str) -> dict[str, Validator]:
    """Return the validators of initializer, regularizer and constraint of weights."""
    settings: dict[str, Validator] = {}
    for weight in weights:
        settings[f"{weight}_initializer"] = validators.require_initializer
        settings[f"{weight}_regularizer"] = validators.require_regularizer
        settings[f"{weight}_constraint"] = validators.require_constraint
    return settings


_CONVOLUTION: Mapping[str, Validator] = {
    "filters": validators.require_count,
    "kernel_size": validators.require_pair,
    "strides": validators.require_pair,
    "padding": validators.require_padding,
    "activation": validators.require_activation,
    "use_bias": validators.require_flag,
}
_CONVOLUTION_OPTIONS: Mapping[str, Validator] = {
    **_LAST,
    "dilation_rate": validators.require_pair,
    "activity_regularizer": validators.require_regularizer,
}
_POOL: Mapping[str, Validator] = {
    "pool_size": validators.require_pair,
    "strides": lambda value: None if value is None else validators.require_pair(value),
    "padding": validators.require_padding,
}
_BIAS = WeightSlot("bias", only_if="use_bias")

LAYER_CLASSES: Mapping[str, LayerClass] = {
    "Conv2D": LayerClass(
        layers.Conv2D,
        _CONVOLUTION,
        {**_CONVOLUTION_OPTIONS, **_extras("kernel", "bias")},
        (WeightSlot("kernel"), _BIAS),
    ),
    "SeparableConv2D": LayerClass(
        layers.SeparableConv2D,
        {**_CONVOLUTION, "depth_multiplier": validators.require_count},
        {**_CONVOLUTION_OPTIONS, **_extras("depthwise", "pointwise", "bias")},
        (WeightSlot("depthwise_kernel"), WeightSlot("pointwise_kernel"), _BIAS),
        # Those of a plain convolution, which later versions wrote too.
        unused=("kernel_initializer", "kernel_regularizer", "kernel_constraint"),
    ),
    "Dense": LayerClass(
        layers.Dense,
        {
            "units": validators.require_count,
            "activation": validators.require_activation,
            "use_bias": validators.require_flag,
        },
        {"activity_regularizer": validators.require_regularizer, **_extras("kernel", "bias")},
        (WeightSlot("kernel"), _BIAS),
    ),
    "BatchNormalization": LayerClass(
        layers.BatchNormalization,
        {
            "axis": validators.require_axis,
            "momentum": validators.require_fraction,
            "epsilon": validators.require_positive,
            "center": validators.require_flag,
            "scale": validators.require_flag,
        },
        {
            **_extras("gamma", "beta"),
            "moving_mean_initializer": validators.require_initializer,
            "moving_variance_initializer": validators.require_initializer,
        },
        (
            WeightSlot("gamma", only_if="scale"),
            WeightSlot("beta", only_if="center"),
            WeightSlot("moving_mean", trainable=False),
            WeightSlot("moving_variance", trainable=False),
        ),
    ),
    "Activation": LayerClass(layers.Activation, {"activation": validators.require_activation}),
    "LeakyReLU": LayerClass(
        layers.LeakyReLU, {"alpha": validators.require_number}, renamed={"alpha": "negative_slope"}
    ),
    "ELU": LayerClass(layers.ELU, {"alpha": validators.require_number}),
    "Dropout": LayerClass(
        layers.Dropout,
        {"rate": validators.require_rate},
        {"noise_shape": validators.require_null},
        unused=("seed",),
    ),
    "SpatialDropout2D": LayerClass(
        layers.SpatialDropout2D,
        {"rate": validators.require_rate},
        {**_LAST, "noise_shape": validators.require_null},
        unused=("seed", "noise_shape"),
    ),
    "GaussianNoise": LayerClass(layers.GaussianNoise, {"stddev": validators.require_number}),
    "MaxPooling2D": LayerClass(layers.MaxPooling2D, _POOL, _LAST),
    "AveragePooling2D": LayerClass(layers.AveragePooling2D, _POOL, _LAST),
    "GlobalAveragePooling2D": LayerClass(layers.GlobalAveragePooling2D, {}, _LAST),
    "GlobalMaxPooling2D": LayerClass(layers.GlobalMaxPooling2D, {}, _LAST),
    "ZeroPadding2D": LayerClass(
        layers.ZeroPadding2D, {"padding": validators.require_borders}, _LAST
    ),
    "Cropping2D": LayerClass(layers.Cropping2D, {"cropping": validators.require_borders}, _LAST),
    "UpSampling2D": LayerClass(layers.UpSampling2D, {"size": validators.require_pair}, _LAST),
    "Flatten": LayerClass(layers.Flatten, {}, _LAST),
    "Reshape": LayerClass(layers.Reshape, {"target_shape": validators.require_shape}),
    "Permute": LayerClass(layers.Permute, {"dims": validators.require_axes}),
    "Add": LayerClass(layers.Add, multiple_inputs=True),
    "Subtract": LayerClass(layers.Subtract, multiple_inputs=True),
    "Multiply": LayerClass(layers.Multiply, multiple_inputs=True),
    "Average": LayerClass(layers.Average, multiple_inputs=True),
    "Maximum": LayerClass(layers.Maximum, multiple_inputs=True),
    "Concatenate": LayerClass(
        layers.Concatenate, {"axis": validators.require_axis}, multiple_inputs=True
    ),
}
# A layer of Keras 1 that 2.0.8 still read: one class for all kinds of merge.
_MERGE = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum"}
_MERGE_SETTINGS = {"name", "trainable", "mode", "mode_type", "concat_axis", "dot_axes"}
_MERGE_SETTINGS |= {"output_shape", "output_shape_type", "output_mask", "output_mask_type"}
_MERGE_SETTINGS |= {"arguments"}


def validate_layer(
    class_name: Any, config: Mapping[str, Any], path: str
) -> tuple[LayerClass, dict[str, Any]]:
    """Validate a layer's class and all of its settings.

    Args:
        class_name: Class name in the file.
        config: The layer's settings in the file.
        path: Path of the layer, for errors.

    Returns:
        The class, and the settings for Keras 3; `trainable` as in the file.

    Raises:
        ModelError: The class or a setting is unknown, missing or not supported.
    """
    if class_name == "Merge":
        class_name, config = _merge(config, path)
    if not isinstance(class_name, str) or class_name not in LAYER_CLASSES:
        raise ModelError(
            f"Layer {path} has an unsupported class",
            expected=f"one of InputLayer, Model, Sequential, {', '.join(LAYER_CLASSES)}",
            received=repr(class_name)[:80],
        )
    kind = LAYER_CLASSES[class_name]
    accepted = {**_ALWAYS, **kind.settings, **kind.optional}
    _require_settings(class_name, config, kind, path, accepted)
    settings = {}
    for key, value in config.items():
        if key in kind.unused or key == "batch_input_shape":
            continue
        try:
            settings[kind.renamed.get(key, key)] = accepted[key](value)
        except SettingError as error:
            raise ModelError(
                f"Layer {path} cannot be read: its setting {key}",
                expected=str(error),
                received=repr(value)[:80],
            ) from error
    return kind, settings


def _require_settings(
    class_name: str,
    config: Mapping[str, Any],
    kind: LayerClass,
    path: str,
    accepted: Mapping[str, Validator],
) -> None:
    missing = [key for key in ("name", *kind.settings) if key not in config]
    unknown = sorted(config.keys() - accepted.keys() - set(kind.unused))
    if missing or unknown:
        raise ModelError(
            f"The {class_name} {path} does not have the settings of Keras 2.0.8",
            expected=", ".join(sorted(accepted)),
            received=f"no {', '.join(missing)}" if missing else f"also {', '.join(unknown)[:200]}",
        )


def _merge(config: Mapping[str, Any], path: str) -> tuple[str, dict[str, Any]]:
    mode = config.get("mode")
    named = {key: config[key] for key in ("name", "trainable") if key in config}
    if (
        config.keys() <= _MERGE_SETTINGS
        and config.get("mode_type", "raw") == "raw"
        and not config.get("arguments")
        and config.get("output_shape") is None
        and config.get("output_mask") is None
        and isinstance(mode, str)
    ):
        if mode in _MERGE:
            return _MERGE[mode], named
        if mode == "concat":
            return "Concatenate", {**named, "axis": config.get("concat_axis", -1)}
    raise ModelError(
        f"Layer {path} merges in an unsupported way",
        expected=f"mode concat, {', '.join(_MERGE)}, without code",
        received=repr(mode)[:80],
    )
