"""Gray levels that no mammogram has, or none of the training images: there is no decision then."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from mammo_core.imaging import Distribution, GrayMeasures, find_faults, find_outliers
from mammo_core.imaging.plausibility import training_range

#: Code of a measure outside the range of the training images; others are codes of faults.
OUTSIDE: Final = "outside_training"
#: What a model says whose packages do not know the gray levels of their training images.
GENERAL_RULES: Final = "general rules only: a package does not know those of its training images"

GrayLevels = Mapping[str, Distribution]


@dataclass(frozen=True)
class UnlikeTraining:
    """How the gray levels of an image differ from those of training images.

    Attributes:
        code: A fault that no mammogram has (`imaging.plausibility.FAULTS`), or `outside_training`.
        measure: The measure that shows it.
        value: Its value for the image.
        low: Lower end of the range of the training images; None if it has none, or is unknown.
        high: Upper end, likewise.
        message: A sentence without a full stop.
    """

    code: str
    measure: str
    value: float
    low: float | None
    high: float | None
    message: str

    def row(self) -> dict[str, Any]:
        """Return the cells of a row, as plain JSON."""
        return asdict(self)


def find_unlike(
    measures: Sequence[GrayMeasures], training: Sequence[GrayLevels]
) -> tuple[UnlikeTraining, ...]:
    """Return how an image differs from mammograms, and from the training images of its models.

    Args:
        measures: For each package the measures of the image, as that package reads it.
        training: For each package the distributions over its training images; empty if unknown.

    Returns:
        Each difference once, faults first, in an order that does not depend on that of packages.
    """
    differences: set[UnlikeTraining] = set()
    for measured, known in zip(measures, training, strict=True):
        for fault in find_faults(measured):
            differences.add(_unlike(fault.code, fault.measure, fault.value, known, fault.message))
        for outlier in find_outliers(measured, known):
            low, high = training_range(outlier.measure, known[outlier.measure])
            message = f"{outlier.measure} {outlier.value:g} is outside the training images: "
            message += _range_text(low, high)
            differences.add(_unlike(OUTSIDE, outlier.measure, outlier.value, known, message))
    return tuple(sorted(differences, key=lambda item: (item.code == OUTSIDE, repr(item))))


def _unlike(
    code: str, measure: str, value: float, known: GrayLevels, message: str
) -> UnlikeTraining:
    low, high = training_range(measure, known[measure]) if measure in known else (None, None)
    ends = [None if end is None else round(end, 6) for end in (low, high)]
    return UnlikeTraining(code, measure, value, ends[0], ends[1], message)


def _range_text(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"{low:.4g} to {high:.4g}"
    return f"{low:.4g} or more" if low is not None else f"{high:.4g} or less"
