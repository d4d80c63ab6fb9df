"""Triage with guaranteed error rates: conformal limits for each class.

Split conformal prediction by class (Vovk, Gammerman & Shafer 2005, section 4.5): if the cases that
the limits are fitted to and the next one are exchangeable, the rates hold whatever the model is,
for any number of cases. The score must not have been fitted to these cases.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.metrics.checks import require_binary

Group = Literal["low", "unsure", "high"]


@dataclass(frozen=True)
class Triage:
    """Limits between low, unsure and high.

    Attributes:
        low: Below it, a score is low.
        high: From it on, a score is high.
        miss_rate: At most this share of patients with cancer has a low score.
        false_alarm_rate: At most this share of the others has a high score.
        n_malignant: Patients with cancer that the limits rest on.
        n_benign: Other patients that they rest on.
    """

    low: float
    high: float
    miss_rate: float
    false_alarm_rate: float
    n_malignant: int
    n_benign: int

    def groups(self, scores: npt.ArrayLike) -> list[Group]:
        """Return the group of each score."""
        values = np.asarray(scores, dtype=np.float64)
        return [
            "low" if value < self.low else "high" if value >= self.high else "unsure"
            for value in values.tolist()
        ]


def fit_triage(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    miss_rate: float,
    false_alarm_rate: float,
) -> Triage:
    """Fit the limits to a site's own cases.

    A patient counts once: with her lowest score among malignant cases, or her highest among
    benign ones, so that the rates hold for all of her cases.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(n,)` finite numbers, not refitted to these cases.
        groups: `(n,)` patient keys.
        miss_rate: Share of patients with cancer that may have a low score, (0, 1).
        false_alarm_rate: Share of the other patients that may have a high score, (0, 1).

    Raises:
        RecordError: Lengths differ, a class is missing, or there are too few patients of a class
            to guarantee its rate.
        ModelError: A score is not finite.
    """
    truth, values = require_binary(labels, scores)
    keys = np.asarray(groups).astype(str)
    malignant = _per_patient(keys, values, truth == 1, np.minimum)
    benign = _per_patient(keys, values, truth == 0, np.maximum)
    _require_enough("miss rate", "malignant", miss_rate, len(malignant))
    _require_enough("false alarm rate", "benign", false_alarm_rate, len(benign))
    # The k-th smallest of n: the next score is below it with a probability of at most k / (n + 1).
    low = malignant[math.floor(miss_rate * (len(malignant) + 1) + 1e-9) - 1]
    top = benign[math.ceil((1 - false_alarm_rate) * (len(benign) + 1) - 1e-9) - 1]
    high = float(np.nextafter(top, np.inf))
    if high < low:  # every score is decided: one limit between them keeps both rates
        low = high = (high + float(low)) / 2
    return Triage(float(low), high, miss_rate, false_alarm_rate, len(malignant), len(benign))


def smallest_rate(patients: int) -> float:
    """Return the smallest rate that this number of patients of a class can guarantee."""
    return 1 / (patients + 1)


def _per_patient(
    keys: npt.NDArray[np.str_],
    values: npt.NDArray[np.float64],
    included: npt.NDArray[np.bool_],
    choose: np.ufunc,
) -> Sequence[float]:
    patients, numbers = np.unique(keys[included], return_inverse=True)
    start = np.inf if choose is np.minimum else -np.inf
    chosen = np.full(len(patients), start)
    choose.at(chosen, numbers, values[included])
    result: list[float] = np.sort(chosen).tolist()
    return result


def _require_enough(name: str, kind: str, rate: float, patients: int) -> None:
    if not 0 < rate < 1 or rate + 1e-12 < smallest_rate(patients):
        raise RecordError(
            f"This {name} cannot be guaranteed",
            expected=f"a rate below 1 and of at least {smallest_rate(patients):.4f}, the smallest "
            f"that {patients} {kind} patients can guarantee",
            received=f"{rate:g}",
            hint=f"State a higher rate, or bring at least {math.ceil(1 / max(rate, 1e-9)) - 1:,} "
            f"{kind} patients.",
        )
