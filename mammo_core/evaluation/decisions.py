"""From probabilities to decisions: calibration, and thresholds for calling malignant.

Rules are fitted on the validation set and stored in the model package, so evaluation, scoring
and serving treat the same probability in the same way.
"""

from dataclasses import dataclass
from operator import not_
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
from mammo_core.metrics.settings import Method

if TYPE_CHECKING:
    import pandas as pd


class NamedPoint(BaseModel):
    """An operating point, with its performance on the validation set it was chosen on.

    Attributes:
        name: The rate it guarantees on validation: `specificity-0.80` or `sensitivity-0.90`.
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
    """The rules for images, for breasts or for patients.

    Attributes:
        calibration: Calibration of their probabilities.
        operating_points: The first one is the default; empty if validation had one class
            only.
        n_malignant: Number of malignant ones on validation.
        n_benign: Number of benign ones on validation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    calibration: Calibration = Calibration()
    operating_points: tuple[NamedPoint, ...] = ()
    n_malignant: int = Field(default=0, ge=0)
    n_benign: int = Field(default=0, ge=0)

    def point(self, name: str | None = None) -> NamedPoint | None:
        """Return an operating point by name, by default the first; None if there are none.

        Raises:
            RecordError: There are points, but none with this name.
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


class RulesByLevel(BaseModel):
    """The rules for images, breasts and patients.

    Attributes:
        image: Rules for images.
        breast: Rules for breasts.
        patient: Rules for patients.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: LevelRules = LevelRules()
    breast: LevelRules = LevelRules()
    patient: LevelRules = LevelRules()


class DecisionRules(BaseModel):
    """Everything between a network's probability and a decision; plain data.

    They hold for probabilities with these flips and this translation only.

    Attributes:
        flips: Whether probabilities are means over an image and its three flips.
        translation: Pixels that an image is also shifted by, to 9 positions; 0 for none.
        aggregation: How images are aggregated to breasts and patients.
        image: Rules for images.
        breast: Rules for breasts.
        patient: Rules for patients.
        other_flips: Rules for the other value of `flips`; None: it was not evaluated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    flips: bool = False
    translation: int = Field(default=0, ge=0)
    aggregation: Aggregation = Aggregation()
    image: LevelRules = LevelRules()
    breast: LevelRules = LevelRules()
    patient: LevelRules = LevelRules()
    # Left out where there are none: the bytes of other rules, and ids, stay the same.
    other_flips: RulesByLevel | None = Field(default=None, exclude_if=not_)

    def at(self, level: Level) -> LevelRules:
        """Return the rules of a level."""
        rules: LevelRules = getattr(self, level)
        return rules

    def with_flips(self, flips: bool) -> "DecisionRules | None":
        """Return the rules for probabilities with or without flips; None if not evaluated.

        Args:
            flips: Whether probabilities are means over an image and its three flips.
        """
        if flips == self.flips:
            return self
        if self.other_flips is None:
            return None
        levels = {str(level): getattr(self.other_flips, level) for level in LEVELS}
        return self.model_copy(update={**levels, "flips": flips, "other_flips": None})


@dataclass(frozen=True)
class Decisions:
    """The result of applying rules to probabilities.

    Attributes:
        calibrated: `(n,) float64, [0, 1]`.
        malignant: `(n,) bool` for each operating point, by name.
    """

    calibrated: npt.NDArray[np.float64]
    malignant: dict[str, npt.NDArray[np.bool_]]


def apply_rules(rules: DecisionRules, level: Level, probability: npt.ArrayLike) -> Decisions:
    """Calibrate probabilities and decide at each operating point.

    Args:
        rules: Rules of a package.
        level: Level of the probabilities; those of breasts and patients come from `at_level`,
            applied to uncalibrated probabilities.
        probability: `(n,)`, [0, 1], uncalibrated.

    Raises:
        ModelError: A number is not a probability.
    """
    level_rules = rules.at(level)
    scores = np.asarray(probability, dtype=np.float64)
    return Decisions(
        calibrated=level_rules.calibration.apply(scores),
        malignant={point.name: scores >= point.threshold for point in level_rules.operating_points},
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
    other_flips: "pd.DataFrame | None" = None,
) -> DecisionRules:
    """Fit calibrations and choose operating points on the validation set, level by level.

    Args:
        validation: Valid predictions, one row per image, columns as in `evaluate`.
        calibration: Method of the calibration.
        specificity: The least specificity of the first operating point.
        sensitivity: The least sensitivity of the second.
        aggregation: How to aggregate images to breasts and patients.
        flips: Whether the probabilities are means over flips; recorded in the rules.
        translation: Translation of the averaging; recorded in the rules.
        other_flips: The same validation set, predicted with the other value of `flips`; None: no
            rules for it.

    Returns:
        The rules. A level with one class only on validation is not calibrated and has no
        operating point.

    Raises:
        RecordError: A specificity or sensitivity is not in [0, 1].
        ModelError: A probability is not in [0, 1].
    """
    aggregation = aggregation or Aggregation()

    def fit_level(predictions: "pd.DataFrame", level: Level) -> LevelRules:
        table = at_level(predictions, level, aggregation)
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

    levels = {level: fit_level(validation, level) for level in LEVELS}
    others = None
    if other_flips is not None:
        others = RulesByLevel(**{level: fit_level(other_flips, level) for level in LEVELS})
    return DecisionRules(
        flips=flips, translation=translation, aggregation=aggregation, other_flips=others, **levels
    )


def _calibration(
    method: Method, labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]
) -> Calibration:
    try:
        return fit_calibration(method, labels, scores)
    except RecordError:
        # Worse than chance on validation: the report says "not calibrated"; the gate decides.
        return Calibration()
