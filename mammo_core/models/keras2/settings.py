"""Validators of the settings of Keras 2.0.8 layers, which return the arguments for Keras 3.

Every validator takes a value from the file's JSON and returns the argument, or raises
`SettingError`. Names from the file are looked up only in the tables of this module.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import keras

Validator = Callable[[Any], Any]

_LARGEST = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\-]{0,199}")
# hard_sigmoid is a different function in Keras 3.
_ACTIVATIONS = frozenset(
    ("linear", "relu", "softmax", "sigmoid", "tanh", "elu", "selu", "softplus", "softsign")
)


class SettingError(ValueError):
    """A value in the file that is not accepted; the message is what was expected."""


def require_name(value: Any) -> str:
    """Return a layer's name."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise SettingError("a name of letters, digits, '_', '-' and '.'")
    return value


def require_flag(value: Any) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise SettingError("true or false")
    return value


def require_count(value: Any) -> int:
    """Return a count of at least one."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST:
        raise SettingError(f"a whole number from 1 to {_LARGEST}")
    return value


def require_number(value: Any) -> float:
    """Return a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SettingError("a finite number")
    return float(value)


def require_positive(value: Any) -> float:
    """Return a number above 0."""
    if not (number := require_number(value)) > 0:
        raise SettingError("a number above 0")
    return number


def require_rate(value: Any) -> float:
    """Return a dropout rate, [0, 1)."""
    if not 0 <= (number := require_number(value)) < 1:
        raise SettingError("a number from 0 to below 1")
    return number


def require_fraction(value: Any) -> float:
    """Return a fraction, [0, 1]."""
    if not 0 <= (number := require_number(value)) <= 1:
        raise SettingError("a number from 0 to 1")
    return number


def require_pair(value: Any) -> tuple[int, int]:
    """Return rows and columns of a window or stride."""
    if not isinstance(value, list) or len(value) != 2:
        raise SettingError("two whole numbers")
    return require_count(value[0]), require_count(value[1])


def require_borders(value: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return pixels above, below, left and right."""
    if not isinstance(value, list) or len(value) != 2:
        raise SettingError("two pairs of whole numbers")
    rows, columns = (_require_border(side) for side in value)
    return rows, columns


def _require_border(side: Any) -> tuple[int, int]:
    if (
        not isinstance(side, list)
        or len(side) != 2
        or not all(type(each) is int and 0 <= each <= _LARGEST for each in side)
    ):
        raise SettingError("two pairs of whole numbers")
    return side[0], side[1]


def require_axis(value: Any) -> int:
    """Return the number of an axis."""
    if type(value) is not int or not -4 <= value <= 4:
        raise SettingError("the number of an axis")
    return value


def require_shape(value: Any) -> tuple[int, ...]:
    """Return a shape without the batch; -1 is inferred."""
    if not isinstance(value, list) or not all(
        type(side) is int and (side == -1 or 1 <= side <= _LARGEST) for side in value
    ):
        raise SettingError("a list of whole numbers")
    return tuple(value)


def require_axes(value: Any) -> tuple[int, ...]:
    """Return an order of axes, numbered from 1."""
    if not isinstance(value, list) or sorted(map(str, value)) != [
        str(each) for each in range(1, len(value) + 1)
    ]:
        raise SettingError("an order of the axes, numbered from 1")
    return tuple(value)


def require_batch_shape(value: Any) -> tuple[int | None, ...]:
    """Return the shape of an input without the batch; None is any size."""
    if (
        not isinstance(value, list)
        or not 2 <= len(value) <= 5
        or not all(side is None or (type(side) is int and 1 <= side <= _LARGEST) for side in value)
    ):
        raise SettingError("a shape of whole numbers and nulls, the batch first")
    return tuple(value[1:])


def require_padding(value: Any) -> str:
    """Return `valid` or `same`."""
    if value not in ("valid", "same"):
        raise SettingError("valid or same")
    return str(value)


def require_channels_last(value: Any) -> str:
    """Raise an error for images with channels first."""
    if value not in ("channels_last", None):
        raise SettingError("channels_last")
    return "channels_last"


def require_activation(value: Any) -> str:
    """Return the name of an activation that Keras 3 computes in the same way."""
    if value is None:
        return "linear"
    if not isinstance(value, str) or value not in _ACTIVATIONS:
        raise SettingError(f"one of {', '.join(sorted(_ACTIVATIONS))}")
    return str(value)


def require_null(value: Any) -> None:
    """Raise an error for a setting that must not be set."""
    if value is not None:
        raise SettingError("null")


def require_float32(value: Any) -> str:
    """Raise an error for other number types."""
    if value not in ("float32", None):
        raise SettingError("float32")
    return "float32"


def require_dense(value: Any) -> bool:
    """Raise an error for sparse inputs."""
    if value not in (False, None):
        raise SettingError("false")
    return False


def _require_seed(value: Any) -> int | None:
    return None if value is None else int(require_number(value))


def _require_choice(*allowed: str) -> Validator:
    def validate(value: Any) -> str:
        if value not in allowed:
            raise SettingError(f"one of {', '.join(allowed)}")
        return str(value)

    return validate


def _require_distribution(value: Any) -> str:
    # "normal" is truncated in Keras 2.0.8; Keras 3 calls it so.
    return {"normal": "truncated_normal", "uniform": "uniform"}[
        _require_choice("normal", "uniform")(value)
    ]


def _require_axis_or_axes(value: Any) -> Any:
    return (
        [require_axis(each) for each in value] if isinstance(value, list) else require_axis(value)
    )


_INITIALIZERS: Mapping[str, tuple[Any, Mapping[str, Validator]]] = {
    "Zeros": (keras.initializers.Zeros, {}),
    "Ones": (keras.initializers.Ones, {}),
    "Constant": (keras.initializers.Constant, {"value": require_number}),
    "RandomNormal": (
        keras.initializers.RandomNormal,
        {"mean": require_number, "stddev": require_number, "seed": _require_seed},
    ),
    "TruncatedNormal": (
        keras.initializers.TruncatedNormal,
        {"mean": require_number, "stddev": require_number, "seed": _require_seed},
    ),
    "RandomUniform": (
        keras.initializers.RandomUniform,
        {"minval": require_number, "maxval": require_number, "seed": _require_seed},
    ),
    "VarianceScaling": (
        keras.initializers.VarianceScaling,
        {
            "scale": require_positive,
            "mode": _require_choice("fan_in", "fan_out", "fan_avg"),
            "distribution": _require_distribution,
            "seed": _require_seed,
        },
    ),
    "Orthogonal": (keras.initializers.Orthogonal, {"gain": require_number, "seed": _require_seed}),
}
_REGULARIZERS: Mapping[str, tuple[Any, Mapping[str, Validator]]] = {
    "L1L2": (keras.regularizers.L1L2, {"l1": require_number, "l2": require_number}),
}
_CONSTRAINTS: Mapping[str, tuple[Any, Mapping[str, Validator]]] = {
    "MaxNorm": (
        keras.constraints.MaxNorm,
        {"max_value": require_number, "axis": _require_axis_or_axes},
    ),
    "NonNeg": (keras.constraints.NonNeg, {}),
    "UnitNorm": (keras.constraints.UnitNorm, {"axis": _require_axis_or_axes}),
    "MinMaxNorm": (
        keras.constraints.MinMaxNorm,
        {
            "min_value": require_number,
            "max_value": require_number,
            "rate": require_number,
            "axis": _require_axis_or_axes,
        },
    ),
}


def _require_object(table: Mapping[str, tuple[Any, Mapping[str, Validator]]]) -> Validator:
    """Return a validator of `{"class_name": …, "config": {…}}` for a table of classes."""

    def validate(value: Any) -> Any:
        if value is None:
            return None
        entry = value if isinstance(value, dict) else {}
        kind, config = entry.get("class_name"), entry.get("config")
        if not isinstance(kind, str) or kind not in table or not isinstance(config, dict):
            raise SettingError(f"one of {', '.join(table)} with its config")
        cls, validators = table[kind]
        unknown = sorted(config.keys() - validators.keys())
        if unknown:
            raise SettingError(f"{kind} with {', '.join(validators) or 'no settings'}")
        try:
            return cls(**{key: validators[key](each) for key, each in config.items()})
        except SettingError as error:
            raise SettingError(f"{kind} with {error}") from error
        except (TypeError, ValueError) as error:
            raise SettingError(f"{kind} that Keras can create") from error

    return validate


require_initializer = _require_object(_INITIALIZERS)
require_regularizer = _require_object(_REGULARIZERS)
require_constraint = _require_object(_CONSTRAINTS)
