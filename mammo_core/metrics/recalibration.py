"""Recalibration: the calibration of a model, corrected as far as the cases of a site support it.

On the logit of the model's own calibrated probability, a shift (how frequent cancer is) and a slope
(how spread the probabilities are) are fitted. Both are shrunk towards the model's own calibration
by the factor 1 - 1 / chi2 of the likelihood ratio that each of them is worth, so that few cases
change little (Steyerberg et al. 2004, Statistics in Medicine 23:2567; van Houwelingen & Le Cessie
1990, Statistics in Medicine 9:1303). With many cases an isotonic curve is mixed in.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.metrics.calibration import (
    EDGE,
    Calibration,
    expit,
    fit_calibration,
    fit_line,
    logit,
    platt_targets,
)
from mammo_core.metrics.checks import Labels, Scores, require_binary

#: Patients of the rarer class from which an isotonic curve takes part; its weight is m / (m + k).
#: Isotonic regression needs more cases than Platt's curve (Niculescu-Mizil & Caruana 2005, ICML);
#: the numbers are ours.
ISOTONIC_FROM = 200
_ISOTONIC_HALF = 200
_GRID = 64


@dataclass(frozen=True)
class Recalibration:
    """A corrected calibration, and how far it is from the model's own.

    Attributes:
        calibration: From the uncalibrated probability to the corrected one.
        shift: Added to the logit of the model's own probability, at the mean logit of the cases,
            where the slope turns.
        slope: Slope of that logit, about its mean.
        shift_shrinkage: Share of the difference between observed and expected cancers that was
            taken, [0, 1].
        slope_shrinkage: Share of the fitted change of the slope that was taken, [0, 1].
        isotonic_weight: Weight of the isotonic curve, [0, 1).
    """

    calibration: Calibration
    shift: float
    slope: float
    shift_shrinkage: float
    slope_shrinkage: float
    isotonic_weight: float


def recalibrate(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    groups: npt.ArrayLike,
    model: Calibration,
    *,
    isotonic_from: int = ISOTONIC_FROM,
) -> Recalibration:
    """Correct the calibration of a model for cases that it was not fitted to.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` uncalibrated probabilities, [0, 1].
        groups: `(n,)` patient keys. Several cases of one patient count as one when it is decided
            how far the model's own calibration is left.
        model: The model's own calibration.
        isotonic_from: Patients of the rarer class from which an isotonic curve takes part.

    Raises:
        RecordError: Lengths differ, a class is missing, or benign cases have the higher scores.
        ModelError: A score is not a probability.
    """
    truth, values = require_binary(labels, scores)
    patients = class_patients(truth, groups)
    logits = logit(model.apply(values))
    middle = float(logits.mean())
    centered = logits - middle
    target = platt_targets(truth)
    slope, _ = fit_line(truth, centered)
    if slope < 0:
        raise RecordError(
            "The probabilities cannot be calibrated for this site",
            expected="higher probabilities for malignant cases on average",
            received=f"a falling curve (slope {slope:.3g}) over {len(truth)} cases",
            hint="Were the labels swapped? Otherwise the model does not work on these cases.",
        )
    # The cases of a patient are not independent: the likelihood counts patients.
    share = len(set(np.asarray(groups).astype(str).tolist())) / len(truth)
    shifted = logits + _best_shift(target, logits)
    shift_shrinkage = _shrinkage(share * _gain(target, logits, shifted))
    line = slope * centered + middle
    line += _best_shift(target, line)
    slope_shrinkage = _shrinkage(share * _gain(target, shifted, line))
    slope = 1 + slope_shrinkage * (slope - 1)
    # Without a shift, the mean probability stays that of the model, whatever the slope is.
    line = slope * centered + middle
    kept = _best_shift(expit(logits), line)
    shift = kept + shift_shrinkage * (_best_shift(target, line) - kept)
    curve = _compose(model, slope, middle + shift - slope * middle)
    weight = 0.0
    if min(patients) >= isotonic_from:
        weight = min(patients) / (min(patients) + _ISOTONIC_HALF)
        curve = _mix(fit_calibration("isotonic", truth, values), curve, weight)
    return Recalibration(curve, shift, slope, shift_shrinkage, slope_shrinkage, weight)


def at_prevalence(calibration: Calibration, cases: float, prevalence: float) -> Calibration:
    """Return a calibration for another share of malignant cases than that of the cases.

    Scores of malignant and of benign cases are taken to be distributed as before (Elkan 2001,
    IJCAI): the logit moves by the difference of the logits of both shares.

    Args:
        calibration: Fitted to cases.
        cases: Share of them that is malignant, (0, 1).
        prevalence: Share in use, (0, 1).

    Raises:
        RecordError: A share is out of range.
    """
    for name, share in (("share of malignant cases", cases), ("prevalence", prevalence)):
        if not 0 < share < 1:
            raise RecordError(
                f"The {name} is not valid", expected="a number in (0, 1)", received=f"{share:g}"
            )
    move = np.log(prevalence / (1 - prevalence)) - np.log(cases / (1 - cases))
    return _compose(calibration, 1.0, float(move))


def class_patients(labels: Labels, groups: npt.ArrayLike) -> tuple[int, int]:
    """Return the numbers of patients with malignant and with benign cases.

    Args:
        labels: `(n,)`, 0 or 1.
        groups: `(n,)` patient keys.

    Raises:
        RecordError: There is not a patient for each case.
    """
    keys = np.asarray(groups).astype(str)
    if keys.shape != labels.shape:
        raise RecordError(
            "Every case needs a patient",
            expected=f"{len(labels)} patient keys",
            received=f"patient keys of shape {keys.shape}",
        )
    return len(set(keys[labels == 1].tolist())), len(set(keys[labels == 0].tolist()))


def _best_shift(target: Scores, logits: Scores) -> float:
    """The number whose addition to the logits makes their mean probability that of the targets."""
    from scipy.optimize import brentq

    def difference(shift: float) -> float:
        return float((expit(logits + shift) - target).sum())

    reach = 2 * -np.log(EDGE)  # logits lie within half of it
    return float(brentq(difference, -reach, reach))


def _gain(target: Scores, before: Scores, after: Scores) -> float:
    """Twice the logarithm of the likelihood ratio of two sets of logits."""

    def loss(logits: Scores) -> float:
        return float((np.logaddexp(0, logits) - target * logits).sum())

    return 2 * (loss(before) - loss(after))


def _shrinkage(gain: float) -> float:
    return max(0.0, 1 - 1 / gain) if gain > 0 else 0.0


def _compose(model: Calibration, slope: float, intercept: float) -> Calibration:
    """The line on the logit of a calibration, as one calibration."""
    if model.method == "isotonic":
        values = expit(slope * logit(np.asarray(model.values)) + intercept)
        return model.model_copy(update={"values": tuple(np.maximum.accumulate(values).tolist())})
    return Calibration(
        method="platt",
        slope=slope * model.slope,
        intercept=slope * model.intercept + intercept,
    )


def _mix(isotonic: Calibration, curve: Calibration, weight: float) -> Calibration:
    """The weighted mean of two rising curves, as a curve through knots."""
    grid = expit(np.linspace(logit(np.zeros(1))[0], logit(np.ones(1))[0], _GRID))
    knots = np.unique(np.concatenate([isotonic.knots, curve.knots, grid, [0.0, 1.0]]))
    values = weight * isotonic.apply(knots) + (1 - weight) * curve.apply(knots)
    return Calibration(
        method="isotonic",
        knots=tuple(knots.tolist()),
        values=tuple(np.clip(np.maximum.accumulate(values), 0, 1).tolist()),
    )
