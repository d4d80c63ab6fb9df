"""Betting against a hypothesis: evidence that may be looked at any number of times.

A gambler bets against a hypothesis with bets that are fair if it holds. Her expected wealth then
never grows, so the probability that it ever reaches 1 / rate is at most the rate (Ville's
inequality): the wealth is an e-process, and an alarm at 1 / rate is valid at any time. Gamblers
start again and again, each with a share of the money, so that a change after a long quiet time is
noticed as fast as one at the start. All who bet in one way gain the same, so that the sum of their
wealth is all that must be remembered.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError

#: Observations between two starts.
PERIOD: Final = 50


@dataclass
class Wealth:
    """The wealth of gamblers who start again and again.

    Attributes:
        rate: Probability that an alarm is ever raised while the hypothesis holds, (0, 1).
        horizon: Observations after which nobody starts any more (the rate holds beyond).
        by_way: `(g,) float64`, wealth of all who started, for each way to bet.
        count: Observations so far.
        waiting: Share of the money of those who have not started.
        highest: Highest total so far.
        alarm_at: Number of the observation that raised the alarm; None: none did.
    """

    rate: float
    horizon: int
    by_way: npt.NDArray[np.float64]
    count: int = 0
    waiting: float = 1.0
    highest: float = 1.0
    alarm_at: int | None = None

    @classmethod
    def start(cls, ways: int, *, rate: float, horizon: int) -> "Wealth":
        """Return the wealth before any observation.

        Args:
            ways: Ways to bet.
            rate: As in the attributes.
            horizon: As in the attributes.

        Raises:
            RecordError: An argument is out of range.
        """
        if not 0 < rate < 1 or horizon < 1:
            raise RecordError(
                "No alarm can be set",
                expected="a rate between 0 and 1, and a horizon of at least 1",
                received=f"rate {rate:g}, horizon {horizon}",
            )
        return cls(rate, horizon, np.zeros(ways))

    @property
    def total(self) -> float:
        """Wealth of all: the evidence against the hypothesis."""
        return float(self.by_way.sum()) + self.waiting

    def settle(self, gains: npt.NDArray[np.float64]) -> None:
        """Settle the bets on some observations, in their order.

        Args:
            gains: `(n, g) float64`, at least -1: what each way to bet gains on a stake of 1. Given
                what came before, their means are at most 0 if the hypothesis holds.
        """
        done = 0
        while done < len(gains):
            if self.count % PERIOD == 0 and self.count < self.horizon:
                share = 1 / -(-self.horizon // PERIOD)
                self.waiting = max(self.waiting - share, 0.0)
                self.by_way = self.by_way + share / len(self.by_way)
            part = gains[done : done + PERIOD - self.count % PERIOD]
            paths = self.by_way * np.cumprod(1 + part, axis=0)
            totals = paths.sum(axis=1) + self.waiting
            if self.alarm_at is None and totals.max() >= 1 / self.rate:
                self.alarm_at = self.count + 1 + int(np.argmax(totals >= 1 / self.rate))
            self.highest = max(self.highest, float(totals.max()))
            # Beyond this there is nothing more to know, and numbers must stay finite.
            self.by_way = np.minimum(paths[-1], 1e100)
            self.count += len(part)
            done += len(part)
