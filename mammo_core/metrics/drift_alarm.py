"""Anytime-valid alarms: whether a stream of numbers is still like its reference.

A conformal test martingale (Vovk et al. 2003; "Retrain or not retrain", 2021): each number gets a
p-value by its rank among the reference and what came before, and a gambler bets that p-values are
not uniform. Without a change her expected wealth never grows, so the probability that it ever
reaches 1 / rate is at most the rate, however often one looks (Ville's inequality). Gamblers start
again and again, each with a share of the money, so that a change after a long quiet time is found
as fast as one at the start.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.metrics.checks import require_finite

#: Bins of the reference. Within a bin ranks are drawn, so that memory stays the same.
_BINS: Final = 256
#: What the gamblers bet on: higher and lower numbers, a wider and a narrower spread; and how much.
_SHAPES: Final = 4
_STAKES: Final = (0.15, 0.4, 0.8)
#: Numbers between two starts.
_PERIOD: Final = 50


@dataclass
class DriftAlarm:
    """Watches one stream of numbers.

    Attributes:
        edges: `(b - 1,) float64`, edges between the bins of the reference, rising.
        counts: `(b,) float64`, numbers in each bin: the reference, and what came since.
        rate: Probability that an alarm is ever raised without a change, (0, 1).
        horizon: Numbers after which no new gambler starts (the rate holds beyond).
        count: Numbers so far.
        wealth: `(starts, shapes * stakes) float64`, of each gambler.
        waiting: Share of the money of gamblers that have not started.
        highest: Highest wealth so far.
        alarm_at: Number of the observation that raised the alarm; None: none did.
    """

    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.float64]
    rate: float
    horizon: int
    count: int = 0
    wealth: npt.NDArray[np.float64] = field(
        default_factory=lambda: np.empty((0, _SHAPES * len(_STAKES)))
    )
    waiting: float = 1.0
    highest: float = 1.0
    alarm_at: int | None = None

    @classmethod
    def watch(cls, reference: npt.ArrayLike, *, rate: float, horizon: int) -> "DriftAlarm":
        """Start watching.

        Args:
            reference: `(n,)` finite numbers of a time without change, at least 20.
            rate: As in the attributes.
            horizon: Numbers that are expected while it watches, for instance those of a year.

        Raises:
            RecordError: There are too few numbers, or an argument is out of range.
            ModelError: A number is not finite.
        """
        values = require_finite(reference)
        if len(values) < 20 or not 0 < rate < 1 or horizon < 1:
            raise RecordError(
                "No alarm can be set",
                expected="at least 20 reference numbers, a rate between 0 and 1, a horizon",
                received=f"{len(values)} numbers, rate {rate:g}, horizon {horizon}",
            )
        # Numbers below and above all of the reference have bins of their own.
        quantiles = np.quantile(values, np.linspace(0, 1, _BINS + 1))
        edges = np.unique(np.r_[quantiles, np.nextafter(values.max(), np.inf)])
        counts = np.bincount(np.searchsorted(edges, values, "right"), minlength=len(edges) + 1)
        return cls(edges, counts.astype(np.float64), rate, horizon)

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
        for value in require_finite(values).tolist():
            self._add(value, float(random.random()))
        return self.alarm_at is not None

    def _add(self, value: float, tie: float) -> None:
        starts = -(-self.horizon // _PERIOD)
        if self.count % _PERIOD == 0 and self.count < self.horizon:
            share = 1 / starts
            self.waiting = max(self.waiting - share, 0.0)
            fresh = np.full((1, self.wealth.shape[1]), share / self.wealth.shape[1])
            self.wealth = np.vstack([self.wealth, fresh])
        number = int(np.searchsorted(self.edges, value, "right"))
        above = self.counts[number + 1 :].sum()
        same = self.counts[number] + 1  # itself included
        p_value = (above + tie * same) / (self.counts.sum() + 1)
        self.counts[number] += 1
        self.count += 1
        self.wealth *= 1 + _bets(p_value)
        # What is lost does not come back; leaving it out only lowers the wealth.
        self.wealth = self.wealth[self.wealth.max(axis=1) > 1e-12]
        total = float(self.wealth.sum()) + self.waiting
        self.highest = max(self.highest, total)
        if self.alarm_at is None and total >= 1 / self.rate:
            self.alarm_at = self.count


def _bets(p_value: float) -> npt.NDArray[np.float64]:
    """Gains at a p-value, `(shapes * stakes,)`: each has mean 0 under uniform p-values."""
    centered = 1 - 2 * p_value  # positive for numbers above the reference
    spread = 1.5 * centered**2 - 0.5
    shapes = np.array([centered, -centered, spread, -spread])
    return np.outer(shapes, _STAKES).ravel()
