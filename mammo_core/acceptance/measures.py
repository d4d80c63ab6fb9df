"""What the rules of a level do on the site's cases; every figure of a rule is cross-fitted."""

import math

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from mammo_core.acceptance.config import AcceptanceConfig
from mammo_core.acceptance.levels import CrossFitted, FittedLevel, LevelCases
from mammo_core.errors import RecordError
from mammo_core.evaluation.aggregate import Level
from mammo_core.evaluation.predictions import widen_extreme
from mammo_core.metrics import Calibration, Interval, auc_interval, brier_score
from mammo_core.metrics.checks import Labels
from mammo_core.metrics.power import drop_power
from mammo_core.metrics.triage import Group, smallest_rate

_GROUPS: tuple[Group, ...] = ("low", "unsure", "high")
#: Probability with which the smallest detectable drop is seen.
_POWER = 0.8


class _Measure(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PointMeasure(_Measure):
    """An operating point of the site.

    Attributes:
        name: Its name.
        threshold: Called malignant when the uncalibrated probability is >= threshold.
        sensitivity: With thresholds that were chosen on other patients; None: too few patients.
        specificity: Likewise.
    """

    name: str
    threshold: float
    sensitivity: float | None
    specificity: float | None


class CalibrationMeasure(_Measure):
    """The calibration of the package, and that of the site.

    Attributes:
        observed: Share of the cases that is malignant.
        package: Mean probability of the package's own calibration.
        site: Mean probability of the site's, fitted to other patients.
        z: Sum of the residuals of the site's over its standard error, by patient.
        package_brier: Brier score of the package's own.
        site_brier: Brier score of the site's, fitted to other patients.
        shift: Added to the logit of the package's own, at its mean over the cases, where the slope
            turns.
        slope: Slope of that logit.
        shift_shrinkage: Share of the difference between seen and expected cancers that was taken.
        slope_shrinkage: Share of the fitted change of the slope that was taken.
        isotonic_weight: Weight of an isotonic curve.
    """

    observed: float
    package: float
    site: float
    z: float
    package_brier: float
    site_brier: float
    shift: float
    slope: float
    shift_shrinkage: float
    slope_shrinkage: float
    isotonic_weight: float


class TriageMeasure(_Measure):
    """The triage of a level.

    Attributes:
        smallest_miss_rate: The smallest that the site's patients with cancer can guarantee.
        smallest_false_alarm_rate: The smallest that its other patients can guarantee.
        miss_rate_of_site: The rate of one site is at most this with a probability of 95 %: the
            guaranteed rate is the mean over sites. None: there are no limits.
        false_alarm_rate_of_site: Likewise.
        malignant: Group → share of the malignant cases, with limits fitted to other patients;
            empty: a part of the patients is too few for the rates.
        benign: Likewise of the benign ones.
    """

    smallest_miss_rate: float
    smallest_false_alarm_rate: float
    miss_rate_of_site: float | None
    false_alarm_rate_of_site: float | None
    malignant: dict[Group, float]
    benign: dict[Group, float]


class Power(_Measure):
    """What the cases of the level can show.

    Attributes:
        reference: The AUC that drops are from.
        detected: (drop, probability that a one-sided test at 5 % sees it).
        smallest: The smallest drop, in steps of 0.005, that is seen with a probability of 80 %;
            None: none below an AUC of 0.5.
    """

    reference: float
    detected: tuple[tuple[float, float], ...]
    smallest: float | None


class LevelMeasures(_Measure):
    """The cases of a level, and what the rules do on them.

    Attributes:
        level: The level.
        n: Cases that get a decision.
        n_malignant: Malignant ones.
        malignant_patients: Patients with malignant cases.
        benign_patients: Patients with benign cases.
        auc: With its 95 % interval, bootstrapped by patient; None: too few patients.
        package_auc: That of the package on its own test set; None if it states none.
        calibration: None: too few patients.
        points: The operating points.
        triage: None: one class only.
        power: None: too few patients.
    """

    level: Level
    n: int
    n_malignant: int
    malignant_patients: int
    benign_patients: int
    auc: Interval | None
    package_auc: float | None
    calibration: CalibrationMeasure | None
    points: tuple[PointMeasure, ...]
    triage: TriageMeasure | None
    power: Power | None


def measure_level(
    cases: LevelCases,
    fitted: FittedLevel,
    crossed: CrossFitted | None,
    package: Calibration,
    package_auc: float | None,
    config: AcceptanceConfig,
) -> LevelMeasures:
    """Measure a level.

    Args:
        cases: Its cases.
        fitted: The rules, fitted to all of them.
        crossed: What rules do that were fitted to other patients.
        package: The package's own calibration.
        package_auc: The AUC of the package on its own test set, if it is known.
        config: What the site requires.
    """
    malignant, benign = cases.class_patients
    interval = None
    if cases.has_both_classes:
        try:
            interval = auc_interval(
                cases.labels, cases.scores, cases.patients, config.replicates, config.seed
            )
            interval = widen_extreme(interval, min(malignant, benign))
        except RecordError:
            interval = None  # too few patients: the check says so
    return LevelMeasures(
        level=cases.level,
        n=len(cases.labels),
        n_malignant=int(cases.labels.sum()),
        malignant_patients=malignant,
        benign_patients=benign,
        auc=interval,
        package_auc=package_auc,
        calibration=_calibration(cases, fitted, crossed, package),
        points=tuple(
            PointMeasure(
                name=point.name,
                threshold=point.threshold,
                **_rates(cases.labels, None if crossed is None else crossed.positive[point.name]),
            )
            for point in fitted.rules.operating_points
        ),
        triage=_triage(cases, fitted, crossed),
        power=_power(interval, package_auc, (malignant, benign), config),
    )


def calibration_z(
    labels: Labels, probabilities: npt.NDArray[np.float64], patients: npt.NDArray[np.str_]
) -> float:
    """Return the sum of labels minus probabilities over its standard error, by patient.

    Args:
        labels: `(n,)`, 0 or 1.
        probabilities: `(n,)`, [0, 1], not fitted to the cases.
        patients: `(n,)` keys; residuals of one patient may depend on each other.
    """
    patient_of = np.unique(patients, return_inverse=True)[1]
    residuals = np.bincount(patient_of, labels - probabilities)
    error = math.sqrt(float((residuals**2).sum()))
    return float(residuals.sum()) / error if error else 0.0


def _calibration(
    cases: LevelCases, fitted: FittedLevel, crossed: CrossFitted | None, package: Calibration
) -> CalibrationMeasure | None:
    if crossed is None:
        return None
    labels, before = cases.labels, package.apply(cases.scores)
    how = fitted.recalibration
    return CalibrationMeasure(
        observed=float(labels.mean()),
        package=float(before.mean()),
        site=float(crossed.calibrated.mean()),
        z=calibration_z(labels, crossed.calibrated, cases.patients),
        package_brier=brier_score(labels, before),
        site_brier=brier_score(labels, crossed.calibrated),
        shift=0.0 if how is None else how.shift,
        slope=1.0 if how is None else how.slope,
        shift_shrinkage=0.0 if how is None else how.shift_shrinkage,
        slope_shrinkage=0.0 if how is None else how.slope_shrinkage,
        isotonic_weight=0.0 if how is None else how.isotonic_weight,
    )


def _rates(labels: Labels, positive: npt.NDArray[np.bool_] | None) -> dict[str, float | None]:
    if positive is None:
        return {"sensitivity": None, "specificity": None}
    return {
        "sensitivity": float(positive[labels == 1].mean()),
        "specificity": float(1 - positive[labels == 0].mean()),
    }


def _triage(
    cases: LevelCases, fitted: FittedLevel, crossed: CrossFitted | None
) -> TriageMeasure | None:
    if not cases.has_both_classes:
        return None
    malignant, benign = cases.class_patients
    limits = fitted.triage
    shares: list[dict[Group, float]] = [{}, {}]
    if crossed is not None and crossed.groups is not None:
        for label in (0, 1):
            of_class = crossed.groups[cases.labels == label]
            shares[label] = {group: float((of_class == group).mean()) for group in _GROUPS}
    return TriageMeasure(
        smallest_miss_rate=smallest_rate(malignant),
        smallest_false_alarm_rate=smallest_rate(benign),
        miss_rate_of_site=None if limits is None else _of_site(limits.miss_rate, malignant),
        false_alarm_rate_of_site=None
        if limits is None
        else _of_site(limits.false_alarm_rate, benign),
        malignant=shares[1],
        benign=shares[0],
    )


def _of_site(rate: float, patients: int) -> float:
    """The rate that one site keeps with a probability of 95 %.

    The rate of a site is Beta(k, n + 1 - k), where the limit is the k-th of n scores (Vovk 2012,
    "Conditional validity of inductive conformal predictors", Proposition 2a).
    """
    from scipy.stats import beta

    k = math.floor(rate * (patients + 1) + 1e-9)
    return float(beta.ppf(0.95, k, patients + 1 - k))


def _power(
    interval: Interval | None,
    package_auc: float | None,
    patients: tuple[int, int],
    config: AcceptanceConfig,
) -> Power | None:
    if interval is None or min(patients) < 2:
        return None
    reference = min(max(package_auc or interval.value, 0.51), 0.999)
    detected = [(drop, drop_power(reference, drop, *patients)) for drop in config.drops]
    steps = np.arange(0.005, reference - 0.5, 0.005).round(3).tolist()
    enough = (drop for drop in steps if drop_power(reference, drop, *patients) >= _POWER)
    return Power(reference=reference, detected=tuple(detected), smallest=next(enough, None))
