"""Anytime-valid alarms about stated probabilities: a share that is too large, a calibration.

Both compare likelihoods, which are bets: with outcomes of the stated probability, the mean of the
ratio of the likelihood of another probability to it is 1. For shares below a limit it is less.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.metrics.betting import Wealth
from mammo_core.metrics.checks import require_probabilities

#: How far beyond its limit a share may be: parts of the way to 1.
_BEYOND: Final = np.array([0.05, 0.2, 0.5, 0.8])
#: Other calibrations: (slope, intercept) of the logit.
_OTHERS: Final = np.array(
    [(1, -1.5), (1, -0.5), (1, 0.5), (1, 1.5), (0.5, 0), (2, 0), (0, 0)], np.float64
)
#: Probabilities are clipped to [_EDGE, 1 - _EDGE]: an outcome of probability 0 would end all bets.
_EDGE: Final = 1e-4


@dataclass
class ShareAlarm:
    """Whether an outcome is more frequent than a limit.

    Attributes:
        limit: The share that is accepted, (0, 1).
        wealth: Wealth of the gamblers.
    """

    limit: float
    wealth: Wealth

    @classmethod
    def watch(cls, limit: float, *, rate: float, horizon: int) -> "ShareAlarm":
        """Start watching.

        Args:
            limit: As in the attributes.
            rate: Probability that an alarm is ever raised for a share up to the limit.
            horizon: Outcomes that are expected while it watches.

        Raises:
            RecordError: An argument is out of range.
        """
        if not 0 < limit < 1:
            raise RecordError(
                "No alarm can be set", expected="a limit between 0 and 1", received=f"{limit:g}"
            )
        return cls(limit, Wealth.start(len(_BEYOND), rate=rate, horizon=horizon))

    def add(self, outcomes: npt.ArrayLike) -> None:
        """Look at further outcomes, in their order.

        Args:
            outcomes: `(n,) bool`.
        """
        occurred = np.asarray(outcomes, np.bool_)
        shares = self.limit + (1 - self.limit) * _BEYOND
        yes, no = shares / self.limit - 1, (1 - shares) / (1 - self.limit) - 1
        self.wealth.settle(np.where(occurred[:, np.newaxis], yes, no))


@dataclass
class CalibrationAlarm:
    """Whether outcomes are as frequent as the probabilities that were stated for them.

    Sequential tests of a forecast's calibration: Arnold, Henzi & Ziegel 2023 (J. R. Stat. Soc. B).

    Attributes:
        wealth: Wealth of the gamblers.
    """

    wealth: Wealth

    @classmethod
    def watch(cls, *, rate: float, horizon: int) -> "CalibrationAlarm":
        """Start watching.

        Args:
            rate: Probability that an alarm is ever raised for calibrated probabilities.
            horizon: Outcomes that are expected while it watches.

        Raises:
            RecordError: An argument is out of range.
        """
        return cls(Wealth.start(len(_OTHERS), rate=rate, horizon=horizon))

    def add(self, probabilities: npt.ArrayLike, outcomes: npt.ArrayLike) -> None:
        """Look at further outcomes, in their order.

        Args:
            probabilities: `(n,)`, what was stated before they were known, [0, 1].
            outcomes: `(n,) bool`, whether each occurred.

        Raises:
            ModelError: A number is not a probability.
        """
        stated = np.clip(require_probabilities(probabilities), _EDGE, 1 - _EDGE)[:, np.newaxis]
        occurred = np.asarray(outcomes, np.bool_)[:, np.newaxis]
        logits = np.log(stated) - np.log1p(-stated)
        others = 1 / (1 + np.exp(-(_OTHERS[:, 0] * logits + _OTHERS[:, 1])))
        ratios = np.where(occurred, others / stated, (1 - others) / (1 - stated))
        self.wealth.settle(ratios - 1)
