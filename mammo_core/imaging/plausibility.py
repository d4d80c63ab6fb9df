"""Whether the gray levels of a picture can be those of a mammogram, and of a training set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:  # a recipe is read without NumPy
    from mammo_core.imaging.gray_measures import GrayMeasures

FaultCode = Literal[
    "constant", "nearly_constant", "inverted", "folded", "noise", "dark", "no_breast"
]
#: In the order in which they are reported.
FAULTS: Final[tuple[FaultCode, ...]] = get_args(FaultCode)

#: Gray levels, and shares of the range, below which a picture is nearly constant.
_FEW_LEVELS: Final = 16
_FEW_STEPS: Final = 8
_FLAT: Final = 0.02
#: Share of a picture that is one level if it is a background, and how bright it may be.
_BACKGROUND_SHARE: Final = 0.1
_BRIGHT: Final = 0.4
_RELATIVELY_BRIGHT: Final = 0.45
_REVERSED: Final = 0.05
_CLEARLY_REVERSED: Final = 0.15
_BRIGHT_CORNERS: Final = 0.5
#: Shares of jumps: none occur inside the tissue of a mammogram.
_JUMPS: Final = 0.0004
#: Correlations below which a picture is noise; mammograms have 0.85 and 0.95 or more.
_STRUCTURE: Final = 0.6
_SMOOTHNESS: Final = 0.25
#: Correlation of a picture that is a gradient: mammograms have less than 0.995.
_GRADIENT: Final = 0.999
#: Share of a picture that is one level if there is nothing else but a label.
_EMPTY: Final = 0.9
#: Used range, and level of tissue, of pictures that are far too dark; half of the range is common.
_DARK: Final = 0.2
_DARK_TISSUE: Final = 0.1
#: Area of the smallest breast, and how much of a side it touches.
_BREAST_SHARE: Final = 0.03
_BREAST_CONTACT: Final = 0.08

#: Measures that are compared with the training split: the direction in which a difference counts
#: (-1: too small, 1: too large, 0: both), and the least distance from the training images.
_COMPARED: Final[Mapping[str, tuple[int, float]]] = {
    "low": (1, 0.1),
    "bright": (-1, 0.15),
    "high": (-1, 0.2),
    "used_range": (-1, 0.2),
    "background": (1, 0.15),
    "contrast": (-1, 0.15),
    "breast_share": (0, 0.2),
    "structure": (-1, 0.15),
    "smoothness": (-1, 0.2),
    "jumps": (1, _JUMPS),
}
#: Shares of the range that are too small below this fraction of the darkest training images.
_RELATIVE: Final[Mapping[str, float]] = {"bright": 0.4, "high": 0.4, "used_range": 0.4}
#: Measures whose distribution over a training split is kept.
DISTRIBUTED: Final = ("median", "mean", "background_share", *_COMPARED)
_DIGITS: Final = 6


class Distribution(BaseModel):
    """The values of a measure over a training split.

    Attributes:
        minimum: The smallest value.
        q01: The quantile 0.01.
        median: The median.
        q99: The quantile 0.99.
        maximum: The largest value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    minimum: float
    q01: float
    median: float
    q99: float
    maximum: float


@dataclass(frozen=True)
class Fault:
    """Why the gray levels of a picture cannot be those of a mammogram.

    Args:
        code: Its name in the policy of a recipe.
        measure: The measure that shows it.
        value: Its value.
        problem: A sentence without a full stop.
        expected: What a mammogram has.
    """

    code: FaultCode
    measure: str
    value: float
    problem: str
    expected: str

    @property
    def message(self) -> str:
        """The fault as one text without commas and semicolons at its end."""
        return f"{self.problem}: {self.measure} {self.value:g}, expected {self.expected}"


@dataclass(frozen=True)
class Outlier:
    """A measure outside the range of a training split.

    Args:
        measure: The measure.
        value: Its value.
        low: Lower end of the range; None if there is none.
        high: Upper end of the range; None if there is none.
    """

    measure: str
    value: float
    low: float | None
    high: float | None


def find_faults(measures: "GrayMeasures") -> list[Fault]:
    """Return why gray levels cannot be those of a mammogram, by rules that need no training data.

    Args:
        measures: The measures of the picture.

    Returns:
        The faults, the most specific one first; empty for a plausible picture.
    """
    m = measures
    if m.steps == 0 and m.levels <= 1:
        return [_fault("constant", m, "levels", "The picture has one gray level", "at least 2")]
    if m.steps < _FEW_STEPS or m.levels < _FEW_LEVELS:
        name, least = ("steps", _FEW_STEPS) if m.steps < _FEW_STEPS else ("levels", _FEW_LEVELS)
        problem = "The picture is nearly constant"
        return [_fault("nearly_constant", m, name, problem, f"at least {least}")]
    is_noise = m.smoothness < _SMOOTHNESS or (
        m.structure < _STRUCTURE and m.jumps < _JUMPS and m.background_share < _EMPTY
    )
    if is_noise:
        return [*_noise_faults(m), *_dark_faults(m)]
    faults = _background_faults(m)
    if m.jumps >= _JUMPS:
        problem = "The gray levels are folded: neighbors jump by most of the range"
        faults.append(_fault("folded", m, "jumps", problem, f"less than {_JUMPS}"))
    if not faults:
        faults = _breast_faults(m)
        if faults and m.high > _DARK:  # a bright label on an empty picture
            return faults
    return faults + _dark_faults(m)


def distribution_of(rows: Mapping[str, Sequence[float]]) -> dict[str, Distribution]:
    """Return the distribution of each measure over a training split.

    Args:
        rows: Measure → its values for the images of the training split; without NaN.

    Returns:
        Empty without images.
    """
    import numpy as np

    result = {}
    for name in DISTRIBUTED:
        values = np.asarray(rows.get(name, ()), np.float64)
        if values.size:
            quantiles = np.quantile(values, (0, 0.01, 0.5, 0.99, 1))
            names = Distribution.model_fields
            result[name] = Distribution(
                **{n: round(float(v), _DIGITS) for n, v in zip(names, quantiles, strict=True)}
            )
    return result


def training_range(name: str, training: Distribution) -> tuple[float | None, float | None]:
    """Return the range in which a measure is like that of a training split.

    It reaches beyond the middle 98 % of the training images by as much again, so that about none
    of a hundred other images of the same source is outside any range.

    Args:
        name: The measure.
        training: Its distribution.

    Returns:
        The ends; None where any value is accepted.
    """
    direction, least = _COMPARED.get(name, (2, 0.0))
    margin = max(training.q99 - training.q01, least)
    low = training.q01 - margin if direction in (-1, 0) else None
    high = training.q99 + margin if direction in (0, 1) else None
    if low is not None and name in _RELATIVE:
        low = max(low, training.q01 * _RELATIVE[name])
    return low, high


def find_outliers(measures: "GrayMeasures", training: Mapping[str, Distribution]) -> list[Outlier]:
    """Return the measures of a picture that are outside the ranges of a training split.

    Args:
        measures: The measures of the picture.
        training: Measure → distribution over the training split.
    """
    outliers = []
    for name in _COMPARED:
        if name in training:
            value = float(getattr(measures, name))
            low, high = training_range(name, training[name])
            if (low is not None and value < low) or (high is not None and value > high):
                outliers.append(Outlier(name, value, low, high))
    return outliers


def _noise_faults(m: "GrayMeasures") -> list[Fault]:
    if m.used_range < _FLAT:
        problem = "The picture is nearly constant"
        return [_fault("nearly_constant", m, "used_range", problem, f"at least {_FLAT}")]
    rough = m.smoothness < _SMOOTHNESS
    name, least = ("smoothness", _SMOOTHNESS) if rough else ("structure", _STRUCTURE)
    problem = "The picture is noise: neighbors have nothing in common"
    return [_fault("noise", m, name, problem, f"at least {least}")]


def _background_faults(m: "GrayMeasures") -> list[Fault]:
    used = m.used_range
    least = _REVERSED if m.background_share >= _BACKGROUND_SHARE else _CLEARLY_REVERSED
    reverse = m.background - m.low > _RELATIVELY_BRIGHT * used and m.contrast < -least * used
    if reverse or (m.background_share >= _BACKGROUND_SHARE and m.background > _BRIGHT):
        problem = "The background is bright: the picture is inverted or shifted"
        return [_fault("inverted", m, "background", problem, f"at most {_BRIGHT}")]
    if m.darkest_corner > _BRIGHT_CORNERS:
        problem = "No corner of the picture is dark: it is inverted or not a mammogram"
        return [_fault("inverted", m, "darkest_corner", problem, f"at most {_BRIGHT_CORNERS}")]
    return []


def _dark_faults(m: "GrayMeasures") -> list[Fault]:
    problem = "The picture is far too dark: it uses a small share of its gray range"
    for name, least in (("used_range", _DARK), ("bright", _DARK_TISSUE)):  # a label may be bright
        if getattr(m, name) < least:
            return [_fault("dark", m, name, problem, f"at least {least}")]
    return []


def _breast_faults(m: "GrayMeasures") -> list[Fault]:
    for name, least, what in (
        ("breast_share", _BREAST_SHARE, "no breast"),
        ("breast_contact", _BREAST_CONTACT, "no breast that reaches its border"),
    ):
        if getattr(m, name) < least:
            problem = f"The picture shows {what}"
            return [_fault("no_breast", m, name, problem, f"at least {least}")]
    if m.structure > _GRADIENT:
        problem = "The picture shows a gradient and no breast"
        return [_fault("no_breast", m, "structure", problem, f"at most {_GRADIENT}")]
    return []


def _fault(code: FaultCode, m: "GrayMeasures", name: str, problem: str, expected: str) -> Fault:
    return Fault(code, name, float(getattr(m, name)), problem, expected)
