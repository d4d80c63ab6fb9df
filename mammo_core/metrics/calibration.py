"""Calibration: among images with a probability of 0.7, seven in ten should be malignant.

Fitted on validation, stored with the model, applied by `Calibration.apply`. All three methods
preserve the order of the scores (isotonic regression may make neighbors equal), so thresholds
and ROC curves of the uncalibrated probabilities remain valid.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mammo_core.errors import RecordError
from mammo_core.metrics.checks import require_binary, require_probabilities
from mammo_core.metrics.settings import Method

EDGE = 1e-7
"""Probabilities are clipped to [EDGE, 1 - EDGE] before the logit: float32 reaches 0 and 1."""


class Calibration(BaseModel):
    """A map from probability to calibrated probability, as plain data.

    Attributes:
        method: `none` (the probability unchanged), `temperature` (Guo et al. 2017: the logit
            divided by a temperature, so slope = 1 / temperature and intercept = 0), `platt`
            (Platt 1999: slope and intercept of the logit) or `isotonic` (a rising, piecewise
            linear curve through knots).
        slope: Slope of the logit.
        intercept: Added to the logit.
        knots: Probabilities where the isotonic curve bends, rising, [0, 1].
        values: Calibrated probabilities at the knots, rising, [0, 1]; constant beyond the ends.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: Method = "none"
    slope: float = Field(default=1.0, ge=0)
    intercept: float = 0.0
    knots: tuple[float, ...] = ()
    values: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        isotonic = self.method == "isotonic"
        if isotonic != bool(self.knots) or len(self.knots) != len(self.values):
            raise ValueError("isotonic needs as many values as knots; other methods take none")
        if (self.slope, self.intercept) != (1, 0) and self.method not in ("temperature", "platt"):
            raise ValueError(f"{self.method} takes no slope and no intercept")
        for name, line in (("knots", self.knots), ("values", self.values)):
            if np.any(np.diff(line) < 0) or any(not 0 <= value <= 1 for value in line):
                raise ValueError(f"{name} must rise within [0, 1]")
        return self

    @property
    def temperature(self) -> float:
        """The number that logits are divided by."""
        return 1 / self.slope if self.slope else float("inf")

    def apply(self, scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return calibrated probabilities.

        Args:
            scores: Probabilities of any shape, [0, 1].

        Returns:
            float64 of the same shape, [0, 1].

        Raises:
            ModelError: A score is not a probability.
        """
        array = require_probabilities(scores)
        if self.method == "none":
            return array
        if self.method == "isotonic":
            return np.asarray(np.interp(array, self.knots, self.values))
        return expit(self.slope * logit(array) + self.intercept)


def fit_calibration(method: Method, labels: npt.ArrayLike, scores: npt.ArrayLike) -> Calibration:
    """Fit a calibration, on the validation set: the test set only measures it.

    Args:
        method: See `Calibration`.
        labels: `(n,)`, 0 or 1 (1 = malignant), both present.
        scores: `(n,)` probabilities, [0, 1].

    Raises:
        RecordError: Lengths differ, one class is missing, or benign records have the higher
            scores (no rising curve corrects that).
        ModelError: A score is not a probability.
    """
    label_array, score_array = require_binary(labels, scores)
    require_probabilities(score_array)
    if method == "none":
        return Calibration()
    if method == "isotonic":
        return _isotonic(label_array, score_array)
    logits = logit(score_array)
    slope, intercept = (
        (_inverse_temperature(label_array, logits), 0.0)
        if method == "temperature"
        else fit_line(label_array, logits)
    )
    if slope < 0:
        raise RecordError(
            "The probabilities cannot be calibrated",
            expected="higher probabilities for malignant images on average",
            received=f"a falling curve (slope {slope:.3g}) over {len(label_array)} images",
            hint="The classifier is worse than chance on this set: train it first.",
        )
    return Calibration(method=method, slope=slope, intercept=intercept)


def _inverse_temperature(labels: npt.NDArray[np.int64], logits: npt.NDArray[np.float64]) -> float:
    from scipy.optimize import minimize_scalar

    signed = np.where(labels == 1, -1.0, 1.0) * logits

    def loss(log_slope: float) -> float:
        return float(np.logaddexp(0, np.exp(log_slope) * signed).mean())

    # Separable sets have no finite optimum: a temperature of 1/20 is sharp enough.
    limit = np.log(20.0)
    result = minimize_scalar(loss, bounds=(-limit, limit), method="bounded")
    return float(np.exp(result.x))


def platt_targets(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return Platt's targets: as if there were one more record of the other class.

    Without them a separable set has no finite optimum.

    Args:
        labels: `(n,)`, 0 or 1.

    Returns:
        `(n,) float64, (0, 1)`.
    """
    positives = int(labels.sum())
    negatives = len(labels) - positives
    return np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def fit_line(labels: npt.NDArray[np.int64], logits: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return slope and intercept of the logit that fit Platt's targets best.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        logits: `(n,)` finite numbers.
    """
    from sklearn.linear_model import LogisticRegression

    # A target t is two records of weight t and 1 - t.
    target = platt_targets(labels)
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8)
    twice = np.concatenate([logits, logits])[:, np.newaxis]
    model.fit(twice, np.repeat([1, 0], len(labels)), np.concatenate([target, 1 - target]))
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def _isotonic(labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]) -> Calibration:
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, labels)
    return Calibration(
        method="isotonic",
        knots=tuple(map(float, model.X_thresholds_)),
        values=tuple(map(float, model.y_thresholds_)),
    )


@dataclass(frozen=True)
class ReliabilityCurve:
    """How often images of similar probability are malignant, without empty bins.

    Attributes:
        predicted: Mean probability of each bin, rising.
        observed: Share of malignant images in it.
        low: Lower end of that share's 95 % interval (Wilson).
        high: Upper end.
        counts: Images in it.
        expected_error: Mean distance of observed and predicted, weighted by count.
    """

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    counts: tuple[int, ...]
    expected_error: float


def reliability_curve(
    labels: npt.ArrayLike, scores: npt.ArrayLike, bins: int = 10
) -> ReliabilityCurve:
    """Return the reliability curve over bins of equal width.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` probabilities, [0, 1].
        bins: Number of bins.

    Raises:
        RecordError: Lengths differ, one class is missing, or `bins` is less than 1.
        ModelError: A score is not a probability.
    """
    from scipy.stats import binomtest

    label_array, score_array = require_binary(labels, scores)
    require_probabilities(score_array)
    if bins < 1:
        raise RecordError(
            "A reliability curve needs bins", expected="at least 1", received=f"bins={bins}"
        )
    bin_of = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], score_array)
    counts = np.bincount(bin_of, minlength=bins)
    filled = np.flatnonzero(counts)
    malignant = np.bincount(bin_of, label_array, minlength=bins)[filled]
    counts = counts[filled]
    predicted = np.bincount(bin_of, score_array, minlength=bins)[filled] / counts
    intervals = [
        binomtest(int(k), int(n)).proportion_ci(method="wilson")
        for k, n in zip(malignant, counts, strict=True)
    ]
    gaps = np.abs(malignant / counts - predicted)
    return ReliabilityCurve(
        predicted=tuple(predicted.tolist()),
        observed=tuple((malignant / counts).tolist()),
        low=tuple(float(interval.low) for interval in intervals),
        high=tuple(float(interval.high) for interval in intervals),
        counts=tuple(counts.tolist()),
        expected_error=float((gaps * counts).sum() / len(label_array)),
    )


def logit(array: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the logits of probabilities, which are clipped to [EDGE, 1 - EDGE] first.

    Args:
        array: Probabilities of any shape, [0, 1].
    """
    clipped = np.clip(array, EDGE, 1 - EDGE)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def expit(array: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the probabilities of logits.

    Args:
        array: Finite numbers of any shape.
    """
    from scipy import special

    return np.asarray(special.expit(array), dtype=np.float64)
