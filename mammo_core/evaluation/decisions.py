"""How probabilities are read: calibrated, and called malignant or not.

Rules are fitted on the validation set, stored in the model package, and applied by `read`:
evaluation, scoring and serving read the same probability in the same way.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from mammo_core.errors import RecordError
from mammo_core.evaluation.aggregate import LEVELS, Aggregation, Level, at_level
from mammo_core.metrics import (
    Calibration,
    fit_calibration,
    operating_point,
    sensitive_operating_point,
)
from mammo_core.metrics.calibration import Method

if TYPE_CHECKING:
    import pandas as pd


class NamedPoint(BaseModel):
    """An operating point, with what it gave on the validation set it was chosen on.

    Attributes:
        name: What it keeps: `specificity-0.80` or `sensitivity-0.90`.
        threshold: Called malignant when the uncalibrated probability is >= threshold.
        sensitivity: On validation.
        specificity: On validation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    threshold: float
    sensitivity: float
    specificity: float


class LevelRules(BaseModel):
    """The rules of images, of breasts or of patients.

    Attributes:
        calibration: Of their probabilities.
        operating_points: The first one decides where nothing else is asked for; none when
            validation held one class only.
        n_malignant: Malignant ones on validation.
        n_benign: Benign ones on validation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    calibration: Calibration = Calibration()
    operating_points: tuple[NamedPoint, ...] = ()
    n_malignant: int = Field(default=0, ge=0)
    n_benign: int = Field(default=0, ge=0)

    def point(self, name: str | None = None) -> NamedPoint | None:
        """Return an operating point by name, by default the first; None where there is none.

        Raises:
            RecordError: There are points, but none of this name.
        """
        if not self.operating_points:
            return None
        for point in self.operating_points:
            if name in (None, point.name):
                return point
        raise RecordError(
            "There is no such operating point",
            expected=f"one of {', '.join(point.name for point in self.operating_points)}",
            received=str(name),
        )


class DecisionRules(BaseModel):
    """Everything between a network's probability and a decision; plain data.

    Attributes:
        flips: Whether probabilities are means over an image and its three flips.
        translation: Pixels that an image is also shifted by, to 9 places; 0 for none.
        aggregation: From images to breasts and patients.
        image: Rules of images.
        breast: Rules of breasts.
        patient: Rules of patients.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    flips: bool = False
    translation: int = Field(default=0, ge=0)
    aggregation: Aggregation = Aggregation()
    image: LevelRules = LevelRules()
    breast: LevelRules = LevelRules()
    patient: LevelRules = LevelRules()

    def at(self, level: Level) -> LevelRules:
        """The rules of a level."""
        rules: LevelRules = getattr(self, level)
        return rules


@dataclass(frozen=True)
class Reading:
    """What rules make of probabilities.

    Attributes:
        calibrated: `(n,) float64, [0, 1]`.
        malignant: `(n,) bool`, for every operating point by name.
    """

    calibrated: npt.NDArray[np.float64]
    malignant: dict[str, npt.NDArray[np.bool_]]


def read(rules: DecisionRules, level: Level, probability: npt.ArrayLike) -> Reading:
    """Calibrate probabilities and decide at every operating point.

    Args:
        rules: Of the package.
        level: What the probabilities are of; those of breasts and patients come from
            `at_level`, of uncalibrated probabilities.
        probability: `(n,)`, [0, 1], uncalibrated.

    Raises:
        ModelError: A number is not a probability.
    """
    mine = rules.at(level)
    scores = np.asarray(probability, dtype=np.float64)
    return Reading(
        calibrated=mine.calibration.apply(scores),
        malignant={point.name: scores >= point.threshold for point in mine.operating_points},
    )


def fit_rules(
    validation: "pd.DataFrame",
    *,
    calibration: Method = "platt",
    specificity: float = 0.8,
    sensitivity: float = 0.9,
    aggregation: Aggregation | None = None,
    flips: bool = False,
    translation: int = 0,
) -> DecisionRules:
    """Fit calibrations and choose operating points on the validation set, level by level.

    Args:
        validation: Checked predictions, one row per image, columns as in `evaluate`.
        calibration: Method.
        specificity: The least specificity of the first operating point.
        sensitivity: The least sensitivity of the second.
        aggregation: From images to breasts and patients.
        flips: How the probabilities were made; told to whoever applies the rules.
        translation: Likewise.

    Returns:
        The rules. A level on which validation holds one class only is not calibrated and
        has no operating point.

    Raises:
        RecordError: A share is not in [0, 1].
        ModelError: A probability is not in [0, 1].
    """
    aggregation = aggregation or Aggregation()

    def fitted(level: Level) -> LevelRules:
        table = at_level(validation, level, aggregation)
        labels, scores = table["label"].to_numpy(), table["probability"].to_numpy()
        n_malignant = int(labels.sum())
        n_benign = len(labels) - n_malignant
        if not n_malignant or not n_benign:
            return LevelRules(n_malignant=n_malignant, n_benign=n_benign)
        points = {
            f"specificity-{specificity:.2f}": operating_point(labels, scores, specificity),
            f"sensitivity-{sensitivity:.2f}": sensitive_operating_point(
                labels, scores, sensitivity
            ),
        }
        return LevelRules(
            calibration=_calibration(calibration, labels, scores),
            operating_points=tuple(
                NamedPoint(
                    name=name,
                    threshold=point.threshold,
                    sensitivity=point.sensitivity,
                    specificity=point.specificity,
                )
                for name, point in points.items()
            ),
            n_malignant=n_malignant,
            n_benign=n_benign,
        )

    levels = {level: fitted(level) for level in LEVELS}
    return DecisionRules(flips=flips, translation=translation, aggregation=aggregation, **levels)


def _calibration(
    method: Method, labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]
) -> Calibration:
    try:
        return fit_calibration(method, labels, scores)
    except RecordError:
        # Worse than chance on validation: the report says "not calibrated", the gate decides.
        return Calibration()
