"""Studies of several readers with several modalities on the same cases (MRMC).

The analysis of Obuchowski and Rockette (1995, Communications in Statistics 24:285) with the
degrees of freedom of Hillis (2007, Statistics in Medicine 26:596): readers and cases are both
random, so that a difference holds for other readers and other cases.
"""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.metrics.checks import require_binary
from mammo_core.metrics.delong import auc_covariance

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ErrorCovariances:
    """Covariances of the AUCs of a study, averaged over modalities and readers.

    Attributes:
        same_reader: One reader with two modalities (Cov1).
        same_modality: Two readers with one modality (Cov2), for each modality `(i,)`.
        neither: Two readers with two modalities (Cov3).
    """

    same_reader: float
    same_modality: tuple[float, ...]
    neither: float


@dataclass(frozen=True)
class StudyEstimate:
    """An AUC averaged over readers, or a difference of two, with its 95 % interval.

    Attributes:
        value: The AUC, or the difference.
        low: Lower end; an AUC's may be below 0.
        high: Upper end; an AUC's may be above 1.
        standard_error: Its standard error.
        degrees_of_freedom: Hillis' degrees of freedom.
        p_value: Two-sided, for the hypothesis of no difference; None for an AUC.
    """

    value: float
    low: float
    high: float
    standard_error: float
    degrees_of_freedom: float
    p_value: float | None = None


@dataclass(frozen=True)
class ReaderStudy:
    """The result of a study.

    Attributes:
        aucs: `(i, j)`, AUC of each modality and reader.
        modalities: The AUC of each modality, averaged over readers.
        differences: (first, second) modality → the difference of their AUCs.
        f: The F statistic for the hypothesis that all modalities are equal.
        degrees_of_freedom: Those of its numerator and its denominator.
        p_value: The p-value of this hypothesis.
    """

    aucs: tuple[tuple[float, ...], ...]
    modalities: tuple[StudyEstimate, ...]
    differences: dict[tuple[int, int], StudyEstimate]
    f: float
    degrees_of_freedom: tuple[float, float]
    p_value: float


def reader_study(
    labels: npt.ArrayLike, scores: npt.ArrayLike, groups: npt.ArrayLike | None = None
) -> ReaderStudy:
    """Compare modalities that several readers used on the same cases.

    A model without and with readers, or several models that play the readers of one modality,
    are compared in the same way.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        scores: `(i, j, n)` finite numbers: modality, reader, case; higher = more suspicious.
        groups: `(n,)` patient keys; None when all cases are independent.

    Raises:
        RecordError: There are fewer than two modalities or two readers, lengths differ, or a
            class has fewer than two cases (or patients).
        ModelError: A score is not finite.
    """
    rated = np.asarray(scores, dtype=np.float64)
    if rated.ndim != 3 or rated.shape[0] < 2 or rated.shape[1] < 2:
        raise RecordError(
            "This study cannot be analyzed",
            expected="scores of at least two modalities and two readers on the same cases",
            received=f"scores of shape {rated.shape}",
        )
    i, j, n = rated.shape
    sets = [require_binary(labels, one)[1] for one in rated.reshape(i * j, n)]
    aucs, covariance = auc_covariance(require_binary(labels, sets[0])[0], sets, groups)
    return analyze_aucs(aucs.reshape(i, j), _averaged(covariance.reshape(i, j, i, j)))


def analyze_aucs(aucs: npt.ArrayLike, covariances: ErrorCovariances) -> ReaderStudy:
    """Analyze the AUCs of a study.

    Args:
        aucs: `(i, j)`, AUC of each modality and reader, at least two of both.
        covariances: Covariances of their errors.
    """
    from scipy import stats

    table = np.asarray(aucs, dtype=np.float64)
    i, j = table.shape
    means = table.mean(axis=1)
    by_reader = table - means[:, np.newaxis] - table.mean(axis=0) + table.mean()
    between = j * float(((means - means.mean()) ** 2).sum()) / (i - 1)
    interaction = float((by_reader**2).sum()) / ((i - 1) * (j - 1))
    same_modality = float(np.mean(covariances.same_modality))
    denominator = interaction + j * max(same_modality - covariances.neither, 0.0)
    freedom = _freedom(denominator, interaction, (i - 1) * (j - 1))
    f = between / denominator if denominator else math.inf if between else 0.0
    error = math.sqrt(2 * denominator / j)
    differences = {
        (first, second): _estimate(float(means[first] - means[second]), error, freedom, test=True)
        for first, second in combinations(range(i), 2)
    }
    modalities = []
    for values, mean, covariance in zip(table, means, covariances.same_modality, strict=True):
        spread = float(values.var(ddof=1))
        variance = spread + j * max(covariance, 0.0)
        modalities.append(
            _estimate(float(mean), math.sqrt(variance / j), _freedom(variance, spread, j - 1))
        )
    return ReaderStudy(
        aucs=tuple(tuple(row) for row in table.tolist()),
        modalities=tuple(modalities),
        differences=differences,
        f=f,
        degrees_of_freedom=(float(i - 1), freedom),
        p_value=float(stats.f.sf(f, i - 1, freedom)),
    )


def _freedom(whole: float, part: float, count: int) -> float:
    """Hillis' degrees of freedom; infinite where readers do not differ."""
    return count * (whole / part) ** 2 if part > 0 else math.inf


def _estimate(value: float, error: float, freedom: float, *, test: bool = False) -> StudyEstimate:
    from scipy import stats

    reach = float(stats.t.ppf(0.975, freedom)) * error
    p_value = None
    if test:
        t = abs(value) / error if error else math.inf if value else 0.0
        p_value = float(2 * stats.t.sf(t, freedom))
    return StudyEstimate(value, value - reach, value + reach, error, freedom, p_value)


def _averaged(covariance: Array) -> ErrorCovariances:
    """Average the covariances `(i, j, i, j)` of a study by what two of its AUCs share."""
    i, j = covariance.shape[:2]
    modality = np.eye(i, dtype=bool)[:, np.newaxis, :, np.newaxis]
    reader = np.eye(j, dtype=bool)[np.newaxis, :, np.newaxis, :]
    one, other = np.broadcast_arrays(modality, reader)
    return ErrorCovariances(
        same_reader=float(covariance[~one & other].mean()),
        same_modality=tuple(
            float(covariance[k, :, k][~np.eye(j, dtype=bool)].mean()) for k in range(i)
        ),
        neither=float(covariance[~one & ~other].mean()),
    )
