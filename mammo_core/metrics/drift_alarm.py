"""Anytime-valid alarms: whether a stream of numbers is still like its reference.

A conformal test martingale (Vovk et al. 2003; "Retrain or not retrain", 2021): each number gets a
p-value by its rank among the reference and what came before, and gamblers bet that p-values are
not uniform (`metrics.betting`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.metrics.betting import PERIOD, Wealth
from mammo_core.metrics.checks import require_finite

#: Bins of the reference. Within a bin ranks are drawn, so that memory stays the same.
_BINS: Final = 256
#: What the gamblers bet on, as if numbers were normal: higher and lower means (in standard
#: deviations), narrower and wider spreads (as parts of it).
_SHIFTS: Final = np.array([-1.6, -0.8, -0.4, 0.4, 0.8, 1.6])
_SPREADS: Final = np.array([0.4, 0.7, 1.4, 2.0])
#: Fewest numbers of a reference.
FEWEST: Final = 20


@dataclass
class DriftAlarm:
    """Watches one stream of numbers.

    Attributes:
        edges: `(b - 1,) float64`, edges between the bins of the reference, rising.
        counts: `(b,) float64`, numbers in each bin: the reference, and what came since.
        wealth: Wealth of the gamblers.
    """

    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.float64]
    wealth: Wealth

    @classmethod
    def watch(cls, reference: npt.ArrayLike, *, rate: float, horizon: int) -> "DriftAlarm":
        """Start watching.

        Args:
            reference: `(n,)` finite numbers of a time without change, at least 20.
            rate: Probability that an alarm is ever raised without a change, (0, 1).
            horizon: Numbers that are expected while it watches, for instance those of a year.

        Raises:
            RecordError: There are too few numbers, or an argument is out of range.
            ModelError: A number is not finite.
        """
        values = require_finite(reference)
        if len(values) < FEWEST:
            raise RecordError(
                "No alarm can be set",
                expected=f"at least {FEWEST} reference numbers",
                received=f"{len(values)} numbers",
            )
        wealth = Wealth.start(len(_SHIFTS) + len(_SPREADS), rate=rate, horizon=horizon)
        # Numbers below and above all of the reference have bins of their own.
        quantiles = np.quantile(values, np.linspace(0, 1, _BINS + 1))
        edges = np.unique(np.r_[quantiles, np.nextafter(values.max(), np.inf)])
        counts = np.bincount(np.searchsorted(edges, values, "right"), minlength=len(edges) + 1)
        return cls(edges, counts.astype(np.float64), wealth)

    @property
    def count(self) -> int:
        """Numbers so far."""
        return self.wealth.count

    @property
    def alarm_at(self) -> int | None:
        """Number of the observation that raised the alarm; None: none did."""
        return self.wealth.alarm_at

    def add(self, values: Sequence[float], random: np.random.Generator) -> bool:
        """Look at further numbers, in their order.

        Args:
            values: Finite numbers.
            random: Breaks ties; the same generator gives the same alarms.

        Returns:
            Whether the alarm has been raised, now or before.

        Raises:
            ModelError: A number is not finite.
        """
        array = require_finite(values)
        for start in range(0, len(array), PERIOD):
            part = array[start : start + PERIOD]
            self.wealth.settle(_bets(self._p_values(part, random.random(len(part)))))
        return self.alarm_at is not None

    def _p_values(
        self, values: npt.NDArray[np.float64], ties: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return p-values by rank among the reference and all numbers before; remember these."""
        bins = np.searchsorted(self.edges, values, "right")
        total = self.counts.sum()
        above = total - np.cumsum(self.counts)[bins]
        same = self.counts[bins]
        earlier = np.tri(len(values), k=-1)  # row i: the numbers before the i-th
        above += ((bins > bins[:, np.newaxis]) * earlier).sum(axis=1)
        same += ((bins == bins[:, np.newaxis]) * earlier).sum(axis=1)
        np.add.at(self.counts, bins, 1)
        return np.asarray((above + ties * (same + 1)) / (total + 1 + np.arange(len(values))))


def _bets(p_values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Gains at p-values, `(n, g)`: each has mean 0 under uniform p-values.

    They are ratios of likelihoods, less 1, of the normal scores of p-values; so large changes are
    noticed about as soon as they can be.
    """
    from scipy.special import ndtri

    # Numbers above the reference have high scores.
    scores = -ndtri(np.clip(p_values, 1e-12, 1 - 1e-12))[:, np.newaxis]
    shifts = np.exp(_SHIFTS * scores - _SHIFTS**2 / 2)
    spreads = np.exp(scores**2 / 2 * (1 - _SPREADS**-2.0)) / _SPREADS
    return np.concatenate([shifts, spreads], axis=1) - 1
