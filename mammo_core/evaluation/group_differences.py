"""Whether the groups of a test set differ, and when a set is too small to say.

The groups are compared on the same draws of patients, because a patient may be in several of
them (both views, two exams).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from mammo_core.evaluation.predictions import class_patients
from mammo_core.metrics import weighted_auc
from mammo_core.metrics.bootstrap import patient_draws
from mammo_core.metrics.weighted import Weighted

if TYPE_CHECKING:
    import pandas as pd

#: A difference of AUCs that matters: a set that would miss it cannot tell.
RELEVANT: Final = 0.1
#: Normal quantiles of a two-sided test at 5 % and of a power of 80 %.
_TEST, _POWER = 1.959964, 0.841621
_LEAST_DEFINED: Final = 0.8  # of the replicates

Verdict = Literal["differ", "no difference", "cannot tell"]


class GroupDifference(BaseModel):
    """A comparison of the AUCs of all groups of a grouping.

    Attributes:
        by: The grouping.
        groups: The groups that could be compared.
        left_out: Groups with fewer patients of a class than a group needs.
        p_value: Wald test of the hypothesis that all have the same AUC; None if fewer than two
            groups could be compared.
        detectable: The smallest difference of the two groups compared worst that would be found
            in 80 of 100 such sets; None as above.
        verdict: `differ` (p < 0.05), `no difference` (none as large as is relevant), or `cannot
            tell`.
        worst: The group with the lowest AUC among those compared; None as above.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str
    groups: tuple[str, ...]
    left_out: tuple[str, ...]
    p_value: float | None
    detectable: float | None
    verdict: Verdict
    worst: str | None


def compare_groups(
    by: str,
    groups: Mapping[str, "pd.DataFrame"],
    *,
    least_patients: int,
    replicates: int = 2000,
    seed: int = 0,
) -> GroupDifference:
    """Compare the AUCs of groups of images.

    Args:
        by: The grouping.
        groups: Name → its images: valid predictions; an image may be in several.
        least_patients: Patients of each class that a group needs.
        replicates: Bootstrap replicates.
        seed: Seed of the draws.

    Raises:
        ModelError: A probability is not finite.
    """
    kept = {
        name: rows for name, rows in groups.items() if min(class_patients(rows)) >= least_patients
    }
    left_out = tuple(sorted(set(groups) - set(kept)))
    values, drawn = _aucs(kept, replicates, seed)
    defined = np.isfinite(drawn).all(axis=1)
    if len(kept) < 2 or defined.mean() < _LEAST_DEFINED:
        return GroupDifference(
            by=by,
            groups=tuple(kept),
            left_out=left_out,
            p_value=None,
            detectable=None,
            verdict="cannot tell",
            worst=None,
        )
    covariance = np.cov(drawn[defined], rowvar=False)
    p_value = _wald(values, covariance)
    variances = np.diag(covariance)
    widest = np.sqrt(np.max(variances[:, np.newaxis] + variances - 2 * covariance))
    detectable = float((_TEST + _POWER) * widest)
    verdict: Verdict = "no difference" if detectable <= RELEVANT else "cannot tell"
    return GroupDifference(
        by=by,
        groups=tuple(kept),
        left_out=left_out,
        p_value=p_value,
        detectable=detectable,
        verdict="differ" if p_value < 0.05 else verdict,
        worst=list(kept)[int(np.argmin(values))],
    )


def _aucs(
    groups: Mapping[str, "pd.DataFrame"], replicates: int, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The AUC of each group `(k,)`, and in each replicate `(r, k)`, NaN where it is undefined."""
    patients = np.concatenate(
        [rows["patient_key"].to_numpy(str) for rows in groups.values()] or [np.empty(0, str)]
    )
    if not len(patients):
        return np.empty(0), np.empty((1, 0))
    ends = np.cumsum([0, *(len(rows) for rows in groups.values())])
    patient_of, draws = patient_draws(len(patients), patients, replicates, seed)
    sets = [
        (rows["label"].to_numpy(), rows["probability"].to_numpy(np.float64), patient_of[start:end])
        for rows, start, end in zip(groups.values(), ends[:-1], ends[1:], strict=True)
    ]
    values = [
        weighted_auc(Weighted(labels, scores, np.ones((1, len(labels)))))[0]
        for labels, scores, _ in sets
    ]
    drawn = [
        np.stack(
            [
                weighted_auc(Weighted(labels, scores, times[:, owners]))
                for labels, scores, owners in sets
            ],
            axis=1,
        )
        for times in draws
    ]
    return np.array(values), np.concatenate(drawn)


def _wald(values: npt.NDArray[np.float64], covariance: npt.NDArray[np.float64]) -> float:
    """Test that all values are equal, from their differences to the first one."""
    from scipy import stats

    contrasts = np.hstack([-np.ones((len(values) - 1, 1)), np.eye(len(values) - 1)])
    differences = contrasts @ values
    spread = contrasts @ covariance @ contrasts.T
    statistic = float(differences @ np.linalg.pinv(spread) @ differences)
    return float(stats.chi2.sf(statistic, len(values) - 1))
