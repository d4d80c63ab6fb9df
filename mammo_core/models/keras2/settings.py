"""Settings of Keras 2.0.8 layers, each checked and turned into what Keras 3 takes.

Every function here takes a value of the file's JSON and returns the argument, or raises
`UnfitError`. Nothing is looked up by a name from the file outside the tables of this module.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import keras

Check = Callable[[Any], Any]

_MOST = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\-]{0,199}")
# hard_sigmoid is another function in Keras 3.
_ACTIVATIONS = frozenset(
    ("linear", "relu", "softmax", "sigmoid", "tanh", "elu", "selu", "softplus", "softsign")
)


class UnfitError(ValueError):
    """A value of the file that is not what was expected."""


def name(value: Any) -> str:
    """Return a layer's name."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise UnfitError("a name of letters, digits, '_', '-' and '.'")
    return value


def flag(value: Any) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise UnfitError("true or false")
    return value


def count(value: Any) -> int:
    """Return a number of things, at least one."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
        raise UnfitError(f"a whole number from 1 to {_MOST}")
    return value


def number(value: Any) -> float:
    """Return a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UnfitError("a finite number")
    return float(value)


def positive(value: Any) -> float:
    """Return a number above 0."""
    if not (found := number(value)) > 0:
        raise UnfitError("a number above 0")
    return found


def rate(value: Any) -> float:
    """Return a share that is dropped, [0, 1)."""
    if not 0 <= (found := number(value)) < 1:
        raise UnfitError("a number from 0 to below 1")
    return found


def momentum(value: Any) -> float:
    """Return a share that is kept, [0, 1]."""
    if not 0 <= (found := number(value)) <= 1:
        raise UnfitError("a number from 0 to 1")
    return found


def pair(value: Any) -> tuple[int, int]:
    """Return rows and columns of a window or step."""
    if not isinstance(value, list) or len(value) != 2:
        raise UnfitError("two whole numbers")
    return count(value[0]), count(value[1])


def borders(value: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return pixels above, below, left and right."""
    if not isinstance(value, list) or len(value) != 2:
        raise UnfitError("two pairs of whole numbers")
    rows, columns = (_border(side) for side in value)
    return rows, columns


def _border(side: Any) -> tuple[int, int]:
    if (
        not isinstance(side, list)
        or len(side) != 2
        or not all(type(each) is int and 0 <= each <= _MOST for each in side)
    ):
        raise UnfitError("two pairs of whole numbers")
    return side[0], side[1]


def axis(value: Any) -> int:
    """Return the number of an axis."""
    if type(value) is not int or not -4 <= value <= 4:
        raise UnfitError("the number of an axis")
    return value


def shape(value: Any) -> tuple[int, ...]:
    """Return a shape without the batch, -1 for what follows."""
    if not isinstance(value, list) or not all(
        type(side) is int and (side == -1 or 1 <= side <= _MOST) for side in value
    ):
        raise UnfitError("a list of whole numbers")
    return tuple(value)


def axes(value: Any) -> tuple[int, ...]:
    """Return an order of axes, counted from 1."""
    if not isinstance(value, list) or sorted(map(str, value)) != [
        str(each) for each in range(1, len(value) + 1)
    ]:
        raise UnfitError("an order of the axes, counted from 1")
    return tuple(value)


def batch_shape(value: Any) -> tuple[int | None, ...]:
    """Return an input's shape without the batch; None is any size."""
    if (
        not isinstance(value, list)
        or not 2 <= len(value) <= 5
        or not all(side is None or (type(side) is int and 1 <= side <= _MOST) for side in value)
    ):
        raise UnfitError("a shape of whole numbers and nulls, the batch first")
    return tuple(value[1:])


def padding(value: Any) -> str:
    """Return `valid` or `same`."""
    if value not in ("valid", "same"):
        raise UnfitError("valid or same")
    return str(value)


def channels_last(value: Any) -> str:
    """Refuse images whose channels come first."""
    if value not in ("channels_last", None):
        raise UnfitError("channels_last")
    return "channels_last"


def activation(value: Any) -> str:
    """Return the name of an activation that Keras 3 computes alike."""
    if value is None:
        return "linear"
    if not isinstance(value, str) or value not in _ACTIVATIONS:
        raise UnfitError(f"one of {', '.join(sorted(_ACTIVATIONS))}")
    return str(value)


def nothing(value: Any) -> None:
    """Refuse what this reader does not follow."""
    if value is not None:
        raise UnfitError("null")


def float32(value: Any) -> str:
    """Refuse other types of numbers."""
    if value not in ("float32", None):
        raise UnfitError("float32")
    return "float32"


def dense(value: Any) -> bool:
    """Refuse sparse inputs."""
    if value not in (False, None):
        raise UnfitError("false")
    return False


def _seed(value: Any) -> int | None:
    return None if value is None else int(number(value))


def _either(*allowed: str) -> Check:
    def check(value: Any) -> str:
        if value not in allowed:
            raise UnfitError(f"one of {', '.join(allowed)}")
        return str(value)

    return check


def _distribution(value: Any) -> str:
    # Keras 2.0.8 draws "normal" from a truncated one; Keras 3 says so in the name.
    return {"normal": "truncated_normal", "uniform": "uniform"}[_either("normal", "uniform")(value)]


def _maybe_axis(value: Any) -> Any:
    return [axis(each) for each in value] if isinstance(value, list) else axis(value)


_INITIALIZERS: Mapping[str, tuple[Any, Mapping[str, Check]]] = {
    "Zeros": (keras.initializers.Zeros, {}),
    "Ones": (keras.initializers.Ones, {}),
    "Constant": (keras.initializers.Constant, {"value": number}),
    "RandomNormal": (
        keras.initializers.RandomNormal,
        {"mean": number, "stddev": number, "seed": _seed},
    ),
    "TruncatedNormal": (
        keras.initializers.TruncatedNormal,
        {"mean": number, "stddev": number, "seed": _seed},
    ),
    "RandomUniform": (
        keras.initializers.RandomUniform,
        {"minval": number, "maxval": number, "seed": _seed},
    ),
    "VarianceScaling": (
        keras.initializers.VarianceScaling,
        {
            "scale": positive,
            "mode": _either("fan_in", "fan_out", "fan_avg"),
            "distribution": _distribution,
            "seed": _seed,
        },
    ),
    "Orthogonal": (keras.initializers.Orthogonal, {"gain": number, "seed": _seed}),
}
_REGULARIZERS: Mapping[str, tuple[Any, Mapping[str, Check]]] = {
    "L1L2": (keras.regularizers.L1L2, {"l1": number, "l2": number}),
}
_CONSTRAINTS: Mapping[str, tuple[Any, Mapping[str, Check]]] = {
    "MaxNorm": (keras.constraints.MaxNorm, {"max_value": number, "axis": _maybe_axis}),
    "NonNeg": (keras.constraints.NonNeg, {}),
    "UnitNorm": (keras.constraints.UnitNorm, {"axis": _maybe_axis}),
    "MinMaxNorm": (
        keras.constraints.MinMaxNorm,
        {"min_value": number, "max_value": number, "rate": number, "axis": _maybe_axis},
    ),
}


def _object(table: Mapping[str, tuple[Any, Mapping[str, Check]]]) -> Check:
    """Return a check of `{"class_name": …, "config": {…}}` by a table of classes."""

    def check(value: Any) -> Any:
        if value is None:
            return None
        given = value if isinstance(value, dict) else {}
        kind, config = given.get("class_name"), given.get("config")
        if not isinstance(kind, str) or kind not in table or not isinstance(config, dict):
            raise UnfitError(f"one of {', '.join(table)} with its config")
        make, checks = table[kind]
        unknown = sorted(config.keys() - checks.keys())
        if unknown:
            raise UnfitError(f"{kind} with {', '.join(checks) or 'no settings'}")
        try:
            return make(**{key: checks[key](each) for key, each in config.items()})
        except UnfitError as error:
            raise UnfitError(f"{kind} with {error}") from error
        except (TypeError, ValueError) as error:
            raise UnfitError(f"{kind} that Keras can make") from error

    return check


initializer = _object(_INITIALIZERS)
regularizer = _object(_REGULARIZERS)
constraint = _object(_CONSTRAINTS)
