"""How well scores tell the classes apart, quarter by quarter, where labels are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from mammo_core.metrics import ReliabilityCurve, delong_interval, reliability_curve
from mammo_core.monitoring.labels import LabeledScore


@dataclass(frozen=True)
class Performance:
    """The labeled scores of a span of time.

    Attributes:
        span: `2027-Q3`, or `all`.
        malignant: Malignant images or exams.
        benign: Others.
        auc: AUC with the ends of its 95 % interval (exams are clusters); None without two of each.
        sensitivity: Share of the malignant with a positive decision, of those with a decision.
        specificity: Share of the others with a negative decision, of those with a decision.
        stated: Mean calibrated probability; None if there is none.
        observed: Share of malignant ones.
    """

    span: str
    malignant: int
    benign: int
    auc: tuple[float, float, float] | None
    sensitivity: float | None
    specificity: float | None
    stated: float | None
    observed: float

    def row(self) -> dict[str, Any]:
        """Return it as a row of a table."""
        auc = "–" if self.auc is None else "{:.3f} ({:.3f}–{:.3f})".format(*self.auc)
        return {
            "time": self.span,
            "malignant": self.malignant,
            "benign": self.benign,
            "AUC": auc,
            "sensitivity": self.sensitivity,
            "specificity": self.specificity,
            "stated": self.stated,
            "observed": self.observed,
        }


def performance(scores: Sequence[LabeledScore]) -> list[Performance]:
    """Return the performance of each quarter, and of the whole time at the end.

    Args:
        scores: Labeled scores in the order of their times.
    """
    if not scores:
        return []
    quarters = [
        _performance(quarter, list(part))
        for quarter, part in groupby(scores, lambda score: _quarter(score.at))
    ]
    return [*quarters, _performance("all", scores)]


def calibration_curve(scores: Sequence[LabeledScore]) -> ReliabilityCurve | None:
    """Return how often images of similar calibrated probability are malignant.

    Args:
        scores: Labeled scores.

    Returns:
        The curve; None without calibrated scores of both classes.
    """
    known = [score for score in scores if score.calibrated is not None]
    labels = [int(score.malignant) for score in known]
    if len(set(labels)) < 2:
        return None
    return reliability_curve(labels, [score.calibrated or 0.0 for score in known])


def _performance(span: str, scores: Sequence[LabeledScore]) -> Performance:
    labels = np.array([score.malignant for score in scores])
    stated = [score.calibrated for score in scores if score.calibrated is not None]
    auc = None
    # Both classes need two exams.
    if all(len({s.exam for s in scores if s.malignant == which}) >= 2 for which in (True, False)):
        exams = {exam: number for number, exam in enumerate({score.exam for score in scores})}
        interval = delong_interval(
            labels.astype(int),
            [score.probability for score in scores],
            [exams[score.exam] for score in scores],
        )
        auc = interval.value, interval.low, interval.high
    return Performance(
        span,
        int(labels.sum()),
        int((~labels).sum()),
        auc,
        _share(scores, True, "positive"),
        _share(scores, False, "negative"),
        float(np.mean(stated)) if stated else None,
        float(labels.mean()),
    )


def _share(scores: Sequence[LabeledScore], malignant: bool, decision: str) -> float | None:
    decided = [s.decision == decision for s in scores if s.decision and s.malignant == malignant]
    return float(np.mean(decided)) if decided else None


def _quarter(at: str) -> str:
    return f"{at[:4]}-Q{(int(at[5:7]) + 2) // 3}"
