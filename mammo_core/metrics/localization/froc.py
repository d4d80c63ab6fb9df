"""FROC: the share of lesions that are marked, against false marks per image.

The free-response curve and the figure of merit of JAFROC (Chakraborty & Berbaum 2004, Medical
Physics 31:2313). Intervals are bootstrapped by patient.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.metrics.binary.auc import weighted_auc
from mammo_core.metrics.bootstrap import Interval, patient_draws, percentile_interval
from mammo_core.metrics.weighted import ROUNDING, Weighted, nan_unless, ratio

#: Score of a lesion without a mark, and of an image without a false mark.
UNMARKED: Final = -1.0
#: False marks per image at which sensitivities are stated.
RATES: Final = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MarkedLesions:
    """The lesions and the false marks of a set of images.

    Attributes:
        lesions: `(l,) float64`, the highest score of a mark that hits each lesion, at least 0;
            `UNMARKED` where none does.
        lesion_images: `(l,) int64`, index of the image of each lesion.
        marks: `(m,) float64`, scores of the marks that hit no lesion, at least 0.
        mark_images: `(m,) int64`, index of the image of each of these marks.
        counted: `(n,) bool`, the images whose false marks count.
        patients: `(n,) str`, patient key of each image.
    """

    lesions: Array
    lesion_images: Indices
    marks: Array
    mark_images: Indices
    counted: npt.NDArray[np.bool_]
    patients: npt.NDArray[np.str_]


@dataclass(frozen=True)
class Froc:
    """A free-response curve. Intervals are 95 %, bootstrapped by patient.

    Attributes:
        thresholds: Scores, highest first.
        sensitivity: Share of the lesions that are marked at each threshold.
        false_marks: False marks per counted image at each threshold.
        at_rates: False marks per image → sensitivity at the lowest threshold that gives no more.
        figure_of_merit: JAFROC's: the probability that a lesion is scored above the highest false
            mark of an image without lesions; an unmarked one counts below all marks, a tie as
            half.
        n_lesions: Number of lesions.
        n_marked: Number of lesions that any mark hits.
        n_images: Number of images whose false marks count.
        n_patients: Number of patients.
    """

    thresholds: tuple[float, ...]
    sensitivity: tuple[float, ...]
    false_marks: tuple[float, ...]
    at_rates: dict[float, Interval]
    figure_of_merit: Interval
    n_lesions: int
    n_marked: int
    n_images: int
    n_patients: int


def froc(
    marked: MarkedLesions,
    rates: Sequence[float] = RATES,
    replicates: int = 2000,
    seed: int = 0,
) -> Froc:
    """Return the free-response curve of marks on images.

    Args:
        marked: The lesions and the false marks.
        rates: False marks per image.
        replicates: Bootstrap replicates.
        seed: Seed of the draws.

    Raises:
        RecordError: There is no lesion or no counted image, an index or a score is out of range,
            or almost every replicate lacks one of the two.
    """
    _require_valid(marked)
    kept = marked.counted[marked.mark_images]
    scores = np.r_[marked.lesions, marked.marks[kept]]
    of_image = np.r_[marked.lesion_images, marked.mark_images[kept]]
    labels = np.r_[np.ones(len(marked.lesions), np.int64), np.zeros(int(kept.sum()), np.int64)]
    highest = np.full(len(marked.patients), UNMARKED)
    np.maximum.at(highest, marked.mark_images[kept], marked.marks[kept])
    merit_labels = np.r_[
        np.ones(len(marked.lesions), np.int64), np.zeros(int(marked.counted.sum()), np.int64)
    ]
    merit_scores = np.r_[marked.lesions, highest[marked.counted]]
    merit_images = np.r_[marked.lesion_images, np.flatnonzero(marked.counted)]

    def measure(weights: Array) -> Array:
        """Sensitivity at each rate and the figure of merit, `(r, len(rates) + 1) float64`."""
        records = Weighted(labels, scores, weights[:, of_image])
        images = weights[:, marked.counted].sum(axis=1)
        columns = [_sensitivity_at(records, images, rate) for rate in rates]
        merit = weighted_auc(Weighted(merit_labels, merit_scores, weights[:, merit_images]))
        return np.stack([*columns, merit], axis=1)

    values = measure(np.ones((1, len(marked.patients))))[0]
    patient_of, draws = patient_draws(len(marked.patients), marked.patients, replicates, seed)
    drawn = np.concatenate([measure(times[:, patient_of]) for times in draws])
    intervals = [
        percentile_interval(float(value), drawn[:, column]) for column, value in enumerate(values)
    ]
    once = Weighted(labels, scores, np.ones((1, len(scores))))
    shown = once.scores >= 0
    n_images = int(marked.counted.sum())
    return Froc(
        thresholds=tuple(once.scores[shown].tolist()),
        sensitivity=tuple((once.true_positives[0, shown] / len(marked.lesions)).tolist()),
        false_marks=tuple((once.false_positives[0, shown] / n_images).tolist()),
        at_rates=dict(zip(map(float, rates), intervals[:-1], strict=True)),
        figure_of_merit=intervals[-1],
        n_lesions=len(marked.lesions),
        n_marked=int((marked.lesions >= 0).sum()),
        n_images=n_images,
        n_patients=len(set(marked.patients.tolist())),
    )


def _sensitivity_at(records: Weighted, images: Array, rate: float) -> Array:
    """Sensitivity at the lowest threshold with at most so many false marks per image."""
    few = records.false_positives <= (rate * images)[:, np.newaxis] + ROUNDING
    allowed = few & (records.scores >= 0)
    marked = np.where(allowed, records.true_positives, 0).max(axis=1)
    return nan_unless(images > 0, ratio(marked, records.positives))


def _require_valid(marked: MarkedLesions) -> None:
    n = len(marked.patients)
    problems = [
        ("a lesion", "none", not len(marked.lesions)),
        ("an image whose false marks count", "none", not marked.counted.any()),
        (
            f"indices from 0 to {n - 1}",
            "others",
            any(
                len(indices) and (indices.min() < 0 or indices.max() >= n)
                for indices in (marked.lesion_images, marked.mark_images)
            ),
        ),
        (
            f"scores of at least 0, or {UNMARKED:g} for a lesion without a mark",
            "others",
            not np.isfinite(np.r_[marked.lesions, marked.marks]).all()
            or bool((marked.marks < 0).any())
            or bool(((marked.lesions < 0) & (marked.lesions != UNMARKED)).any()),
        ),
        (
            "as many images as scores, and as many flags as images",
            "others",
            len(marked.lesions) != len(marked.lesion_images)
            or len(marked.marks) != len(marked.mark_images)
            or len(marked.counted) != n,
        ),
    ]
    for expected, received, is_wrong in problems:
        if is_wrong:
            raise RecordError(
                "These marks have no free-response curve", expected=expected, received=received
            )
