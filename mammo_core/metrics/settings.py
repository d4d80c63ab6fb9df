"""The settings of an evaluation that metrics depend on; read with a recipe, without NumPy."""

from dataclasses import dataclass
from typing import Literal

#: How probabilities are calibrated.
Method = Literal["none", "temperature", "platt", "isotonic"]


@dataclass(frozen=True)
class MetricSettings:
    """The settings of an evaluation that metrics depend on.

    Attributes:
        specificity: Specificity at which sensitivity is read, [0, 1].
        sensitivity: Sensitivity at which specificity is read, [0, 1].
        partial_sensitivity: Sensitivity at which the partial AUC begins, [0, 1).
        calibration: Method of the calibration that was fitted on validation.
    """

    specificity: float = 0.8
    sensitivity: float = 0.9
    partial_sensitivity: float = 0.8
    calibration: str = "none"
