"""The cases of a site per image, breast and patient, and the rules that are fitted to them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mammo_core.acceptance.config import AcceptanceConfig
from mammo_core.errors import RecordError
from mammo_core.evaluation.aggregate import LEVELS, Aggregation, Level, Unit, at_level
from mammo_core.evaluation.decisions import LevelRules, NamedPoint
from mammo_core.metrics import Calibration, operating_point, sensitive_operating_point
from mammo_core.metrics.checks import Labels, Scores
from mammo_core.metrics.recalibration import Recalibration, class_patients, recalibrate
from mammo_core.metrics.triage import Triage, fit_triage

if TYPE_CHECKING:
    import pandas as pd

_KEYS: dict[Level, list[str]] = {
    "image": ["image_id"],
    "breast": ["patient_key", "exam_key", "laterality"],
    "patient": ["patient_key", "exam_key"],
}
#: Parts of the patients that cross-fitting leaves out in turn.
FOLDS = 5


@dataclass(frozen=True)
class LevelCases:
    """The cases of a level.

    Attributes:
        level: The level.
        labels: `(n,) int64`, 0 or 1 (1 = malignant).
        scores: `(n,) float64`, [0, 1], uncalibrated.
        patients: `(n,)` patient keys.
    """

    level: Level
    labels: Labels
    scores: Scores
    patients: npt.NDArray[np.str_]

    @property
    def has_both_classes(self) -> bool:
        """Whether there are malignant and benign cases."""
        return 0 < int(self.labels.sum()) < len(self.labels)

    @property
    def class_patients(self) -> tuple[int, int]:
        """Patients with malignant and with benign cases."""
        return class_patients(self.labels, self.patients)

    def select(self, chosen: npt.NDArray[np.bool_]) -> "LevelCases":
        """Return some of the cases.

        Args:
            chosen: `(n,)`.
        """
        return LevelCases(
            self.level, self.labels[chosen], self.scores[chosen], self.patients[chosen]
        )


@dataclass(frozen=True)
class FittedLevel:
    """The rules that were fitted to the cases of a level.

    Attributes:
        rules: Calibration and operating points.
        triage: Limits between low, unsure and high; None: the cases cannot guarantee the rates.
        recalibration: How the calibration was corrected; None: it is the package's own.
        calibration_fault: Why it could not be corrected, or empty.
        triage_fault: Why there are no limits, or empty.
        triage_hint: What to do about it.
    """

    rules: LevelRules
    triage: Triage | None = None
    recalibration: Recalibration | None = None
    calibration_fault: str = ""
    triage_fault: str = ""
    triage_hint: str = ""


@dataclass(frozen=True)
class CrossFitted:
    """What rules do that were fitted to other patients.

    Attributes:
        calibrated: `(n,) float64`, [0, 1].
        positive: Operating point → `(n,) bool`.
        groups: `(n,)` group of the triage; None: a fold has too few patients for the rates.
    """

    calibrated: Scores
    positive: dict[str, npt.NDArray[np.bool_]]
    groups: npt.NDArray[np.str_] | None


def levels_of(unit: Unit) -> tuple[Level, ...]:
    """Return the levels that a model has scores of: a model of breasts has none of images."""
    return LEVELS if unit == "image" else LEVELS[1:]


def cases_at(images: "pd.DataFrame", level: Level, aggregation: Aggregation) -> LevelCases:
    """Return the cases of a level that get a decision: none of their images is unlike training.

    Args:
        images: The scored images, with `cases.COLUMNS`.
        level: The level.
        aggregation: How the model aggregates images.
    """
    unlike = (images["unlike_training"] != "").groupby([images[k] for k in _KEYS[level]])
    table = at_level(images[~unlike.transform("any")], level, aggregation)
    return LevelCases(
        level,
        table["label"].to_numpy(np.int64),
        table["probability"].to_numpy(np.float64),
        table["patient_key"].to_numpy(str),
    )


def fit_level(cases: LevelCases, package: Calibration, config: AcceptanceConfig) -> FittedLevel:
    """Fit calibration, operating points and triage to cases.

    Args:
        cases: The cases.
        package: The package's own calibration of the level.
        config: What the site requires.

    Returns:
        The rules; those that cannot be fitted are left out, with the reason.
    """
    malignant = int(cases.labels.sum())
    benign = len(cases.labels) - malignant
    if not cases.has_both_classes:
        fault = f"{malignant} malignant and {benign} benign cases"
        rules = LevelRules(calibration=package, n_malignant=malignant, n_benign=benign)
        return FittedLevel(rules, calibration_fault=fault, triage_fault=fault)
    recalibration, calibration_fault = None, ""
    if config.calibration == "site":
        try:
            recalibration = recalibrate(cases.labels, cases.scores, cases.patients, package)
        except RecordError as error:
            calibration_fault = str(error)
    triage, triage_fault, triage_hint = None, "", ""
    try:
        triage = fit_triage(
            cases.labels,
            cases.scores,
            cases.patients,
            miss_rate=config.miss_rate,
            false_alarm_rate=config.false_alarm_rate,
        )
    except RecordError as error:
        triage_fault, triage_hint = str(error), error.hint or ""
    calibration = package if recalibration is None else recalibration.calibration
    rules = LevelRules(
        calibration=calibration,
        operating_points=_points(cases, config),
        n_malignant=malignant,
        n_benign=benign,
    )
    return FittedLevel(rules, triage, recalibration, calibration_fault, triage_fault, triage_hint)


def cross_fit(
    cases: LevelCases, package: Calibration, config: AcceptanceConfig
) -> CrossFitted | None:
    """Return what the rules do for each patient that were fitted to the others.

    Args:
        cases: The cases.
        package: The package's own calibration of the level.
        config: What the site requires.

    Returns:
        None if a class has fewer than two patients.
    """
    calibrated = np.zeros(len(cases.labels))
    positive: dict[str, npt.NDArray[np.bool_]] = {}
    groups: npt.NDArray[np.str_] | None = np.full(len(cases.labels), "unsure")
    done = False
    for held_out in patient_folds(cases, config.seed):
        fitted = fit_level(cases.select(~held_out), package, config)
        scores = cases.scores[held_out]
        calibrated[held_out] = fitted.rules.calibration.apply(scores)
        for point in fitted.rules.operating_points:
            decided = positive.setdefault(point.name, np.zeros(len(cases.labels), bool))
            decided[held_out] = scores >= point.threshold
        if fitted.triage is None or groups is None:
            groups = None
        else:
            groups[held_out] = fitted.triage.groups(scores)
        done = True
    return CrossFitted(calibrated, positive, groups) if done else None


def patient_folds(cases: LevelCases, seed: int) -> Iterator[npt.NDArray[np.bool_]]:
    """Yield the cases of each part of the patients; each part has patients of both classes.

    Args:
        cases: The cases.
        seed: Seed of the draw. The order of the cases changes nothing.

    Yields:
        `(n,) bool`; nothing if a class has fewer than two patients.
    """
    from sklearn.model_selection import StratifiedKFold

    keys, patient_of = np.unique(cases.patients, return_inverse=True)
    has_cancer = np.zeros(len(keys), np.int64)
    np.maximum.at(has_cancer, patient_of, cases.labels)
    parts = min(FOLDS, int(has_cancer.sum()), int((1 - has_cancer).sum()))
    if parts < 2:
        return
    folds = StratifiedKFold(parts, shuffle=True, random_state=seed)
    for _, held_out in folds.split(keys, has_cancer):
        yield np.isin(patient_of, held_out)


def _points(cases: LevelCases, config: AcceptanceConfig) -> tuple[NamedPoint, ...]:
    points = {
        f"specificity-{config.specificity:.2f}": operating_point(
            cases.labels, cases.scores, config.specificity
        ),
        f"sensitivity-{config.sensitivity:.2f}": sensitive_operating_point(
            cases.labels, cases.scores, config.sensitivity
        ),
    }
    return tuple(
        NamedPoint(
            name=name,
            threshold=point.threshold,
            sensitivity=point.sensitivity,
            specificity=point.specificity,
        )
        for name, point in points.items()
    )
