"""Power: how likely a set of cases shows that an AUC has dropped.

Standard errors by Hanley & McNeil (1982, Radiology 143:29).
"""

import math

from mammo_core.errors import RecordError

_ONE_SIDED = 1.6448536269514722
"""95 % quantile of the normal distribution."""


def drop_power(auc: float, drop: float, n_malignant: int, n_benign: int) -> float:
    """Return the probability that a drop of the AUC is seen.

    Seen means: a one-sided test at 5 % that the AUC is below its reference, which is taken as
    known.

    Args:
        auc: The reference, (0.5, 1).
        drop: How far the AUC of the cases is below it, at least 0.
        n_malignant: Malignant cases, one per patient.
        n_benign: Benign cases, one per patient.

    Raises:
        RecordError: An argument is out of range.
    """
    if not 0.5 < auc < 1 or not 0 <= drop < auc or min(n_malignant, n_benign) < 2:
        raise RecordError(
            "The power of these cases cannot be computed",
            expected="an AUC between 0.5 and 1, a drop below it, two cases of each class",
            received=f"AUC {auc:g}, drop {drop:g}, {n_malignant} and {n_benign} cases",
        )
    limit = _ONE_SIDED * standard_error(auc, n_malignant, n_benign)
    error = standard_error(auc - drop, n_malignant, n_benign)
    return 0.5 * math.erfc(-(drop - limit) / error / math.sqrt(2))


def standard_error(auc: float, n_malignant: int, n_benign: int) -> float:
    """Return the standard error of an AUC of independent cases."""
    first, second = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc)
    variance += (n_malignant - 1) * (first - auc**2) + (n_benign - 1) * (second - auc**2)
    return math.sqrt(max(variance, 0.0) / (n_malignant * n_benign))
