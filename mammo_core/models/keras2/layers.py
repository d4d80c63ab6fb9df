"""The layers of Keras 2.0.8 that are read: an allow-list with every setting of each.

What is not here (Lambda, recurrent layers, code) is refused by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keras import layers

from mammo_core.errors import ModelError
from mammo_core.models.keras2.model import settings as check
from mammo_core.models.keras2.settings import Check, UnfitError


@dataclass(frozen=True)
class Slot:
    """A place for one weight.

    Attributes:
        kind: Its name in the layer, `kernel`.
        trainable: Whether training changes it (statistics of a batch normalisation: no).
        only_if: The setting that must be true for the weight to exist, or nothing.
    """

    kind: str
    trainable: bool = True
    only_if: str = ""


@dataclass(frozen=True)
class Kind:
    """A class of layers.

    Attributes:
        make: The class of Keras 3.
        settings: Every setting that decides what the layer computes; each must be there.
        optional: Settings that may be absent (regularisers, and what later versions added).
        weights: In the order of Keras 2.0.8.
        several: Whether it takes a list of inputs.
        renamed: Settings whose name is another one in Keras 3.
        unused: Settings of Keras 2 that decide nothing here.
    """

    make: Any
    settings: Mapping[str, Check] = field(default_factory=dict)
    optional: Mapping[str, Check] = field(default_factory=dict)
    weights: tuple[Slot, ...] = ()
    several: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()


_ALWAYS: Mapping[str, Check] = {
    "name": check.name,
    "trainable": check.flag,
    "dtype": check.float32,
    "batch_input_shape": check.batch_shape,
}
_LAST: Mapping[str, Check] = {"data_format": check.channels_last}


def _extras(*weights: str) -> dict[str, Check]:
    """Return initialiser, regulariser and constraint of weights."""
    found: dict[str, Check] = {}
    for weight in weights:
        found[f"{weight}_initializer"] = check.initializer
        found[f"{weight}_regularizer"] = check.regularizer
        found[f"{weight}_constraint"] = check.constraint
    return found


_CONVOLUTION: Mapping[str, Check] = {
    "filters": check.count,
    "kernel_size": check.pair,
    "strides": check.pair,
    "padding": check.padding,
    "activation": check.activation,
    "use_bias": check.flag,
}
_CONVOLUTION_OPTIONS: Mapping[str, Check] = {
    **_LAST,
    "dilation_rate": check.pair,
    "activity_regularizer": check.regularizer,
}
_POOL: Mapping[str, Check] = {
    "pool_size": check.pair,
    "strides": lambda value: None if value is None else check.pair(value),
    "padding": check.padding,
}
_BIAS = Slot("bias", only_if="use_bias")

KINDS: Mapping[str, Kind] = {
    "Conv2D": Kind(
        layers.Conv2D,
        _CONVOLUTION,
        {**_CONVOLUTION_OPTIONS, **_extras("kernel", "bias")},
        (Slot("kernel"), _BIAS),
    ),
    "SeparableConv2D": Kind(
        layers.SeparableConv2D,
        {**_CONVOLUTION, "depth_multiplier": check.count},
        {**_CONVOLUTION_OPTIONS, **_extras("depthwise", "pointwise", "bias")},
        (Slot("depthwise_kernel"), Slot("pointwise_kernel"), _BIAS),
        # Those of a plain convolution; later versions wrote them too.
        unused=("kernel_initializer", "kernel_regularizer", "kernel_constraint"),
    ),
    "Dense": Kind(
        layers.Dense,
        {"units": check.count, "activation": check.activation, "use_bias": check.flag},
        {"activity_regularizer": check.regularizer, **_extras("kernel", "bias")},
        (Slot("kernel"), _BIAS),
    ),
    "BatchNormalization": Kind(
        layers.BatchNormalization,
        {
            "axis": check.axis,
            "momentum": check.momentum,
            "epsilon": check.positive,
            "center": check.flag,
            "scale": check.flag,
        },
        {
            **_extras("gamma", "beta"),
            "moving_mean_initializer": check.initializer,
            "moving_variance_initializer": check.initializer,
        },
        (
            Slot("gamma", only_if="scale"),
            Slot("beta", only_if="center"),
            Slot("moving_mean", trainable=False),
            Slot("moving_variance", trainable=False),
        ),
    ),
    "Activation": Kind(layers.Activation, {"activation": check.activation}),
    "LeakyReLU": Kind(
        layers.LeakyReLU, {"alpha": check.number}, renamed={"alpha": "negative_slope"}
    ),
    "ELU": Kind(layers.ELU, {"alpha": check.number}),
    "Dropout": Kind(
        layers.Dropout,
        {"rate": check.rate},
        {"noise_shape": check.nothing},
        unused=("seed",),
    ),
    "SpatialDropout2D": Kind(
        layers.SpatialDropout2D,
        {"rate": check.rate},
        {**_LAST, "noise_shape": check.nothing},
        unused=("seed", "noise_shape"),
    ),
    "GaussianNoise": Kind(layers.GaussianNoise, {"stddev": check.number}),
    "MaxPooling2D": Kind(layers.MaxPooling2D, _POOL, _LAST),
    "AveragePooling2D": Kind(layers.AveragePooling2D, _POOL, _LAST),
    "GlobalAveragePooling2D": Kind(layers.GlobalAveragePooling2D, {}, _LAST),
    "GlobalMaxPooling2D": Kind(layers.GlobalMaxPooling2D, {}, _LAST),
    "ZeroPadding2D": Kind(layers.ZeroPadding2D, {"padding": check.borders}, _LAST),
    "Cropping2D": Kind(layers.Cropping2D, {"cropping": check.borders}, _LAST),
    "UpSampling2D": Kind(layers.UpSampling2D, {"size": check.pair}, _LAST),
    "Flatten": Kind(layers.Flatten, {}, _LAST),
    "Reshape": Kind(layers.Reshape, {"target_shape": check.shape}),
    "Permute": Kind(layers.Permute, {"dims": check.axes}),
    "Add": Kind(layers.Add, several=True),
    "Subtract": Kind(layers.Subtract, several=True),
    "Multiply": Kind(layers.Multiply, several=True),
    "Average": Kind(layers.Average, several=True),
    "Maximum": Kind(layers.Maximum, several=True),
    "Concatenate": Kind(layers.Concatenate, {"axis": check.axis}, several=True),
}
# The layer that Keras 1 wrote and 2.0.8 still read: one class for all ways to merge.
_MERGE = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum"}
_MERGE_SETTINGS = {"name", "trainable", "mode", "mode_type", "concat_axis", "dot_axes"}
_MERGE_SETTINGS |= {"output_shape", "output_shape_type", "output_mask", "output_mask_type"}
_MERGE_SETTINGS |= {"arguments"}


def kind_of(class_name: Any, config: Mapping[str, Any], path: str) -> tuple[Kind, dict[str, Any]]:
    """Check a layer's class and all of its settings.

    Args:
        class_name: Of the file.
        config: The layer's settings in the file.
        path: The layer in errors.

    Returns:
        The class, and the settings as Keras 3 takes them; `trainable` as the file has it.

    Raises:
        ModelError: The class or a setting is unknown, absent or not one that we follow.
    """
    if class_name == "Merge":
        class_name, config = _merge(config, path)
    if not isinstance(class_name, str) or class_name not in KINDS:
        raise ModelError(
            f"Layer {path} is of a class that is not read",
            expected=f"one of InputLayer, Model, Sequential, {', '.join(KINDS)}",
            received=repr(class_name)[:80],
        )
    kind = KINDS[class_name]
    checks = {**_ALWAYS, **kind.settings, **kind.optional}
    _complete(class_name, config, kind, path, checks)
    settings = {}
    for key, value in config.items():
        if key in kind.unused or key == "batch_input_shape":
            continue
        try:
            settings[kind.renamed.get(key, key)] = checks[key](value)
        except UnfitError as error:
            raise ModelError(
                f"Layer {path} cannot be read: its setting {key}",
                expected=str(error),
                received=repr(value)[:80],
            ) from error
    return kind, settings


def _complete(
    class_name: str, config: Mapping[str, Any], kind: Kind, path: str, checks: Mapping[str, Check]
) -> None:
    absent = [key for key in ("name", *kind.settings) if key not in config]
    unknown = sorted(config.keys() - checks.keys() - set(kind.unused))
    if absent or unknown:
        raise ModelError(
            f"The {class_name} {path} has not the settings of Keras 2.0.8",
            expected=", ".join(sorted(checks)),
            received=f"no {', '.join(absent)}" if absent else f"also {', '.join(unknown)[:200]}",
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
        f"Layer {path} merges in a way that is not read",
        expected=f"mode concat, {', '.join(_MERGE)}, without code",
        received=repr(mode)[:80],
    )
