"""The results of an evaluation for readers who are no statisticians."""

from mammo_core.evaluation.levels import LevelResult, PointResult
from mammo_core.evaluation.localization.measure import Localization
from mammo_core.evaluation.report.wording import PLURAL
from mammo_core.evaluation.screening import Screening
from mammo_core.evaluation.whole_image import EvaluationResult
from mammo_core.metrics import Interval


def plain_words(
    result: EvaluationResult,
    localization: Localization | None = None,
    screening: Screening | None = None,
) -> list[str]:
    """Return what was measured as counts, in sentences without terms of statistics.

    Args:
        result: The evaluation.
        localization: How well heatmaps find lesions, if it was measured.
        screening: What the model would do in screening, if that was asked for.
    """
    # Patients are who a reader thinks of; a set of cancers alone has no numbers per patient.
    level = next((each for each in reversed(result.levels) if each.operating_points), None)
    sentences = [_ranking(result.levels[0])]
    if level is not None:
        sentences += _decisions(level, level.operating_points[0])
    pointing = None if localization is None else localization.pointing.get("malignant")
    if localization is not None and pointing is not None:
        sentences.append(
            f"In {_of_hundred(pointing.value)} of 100 views with a malignant lesion, the hottest "
            f"point of the heatmap lies in it ({localization.n_pointing['malignant']:,} views)."
        )
    if screening is not None and screening.points:
        point = screening.points[0]
        rates = point.rates
        sentences.append(
            f"If {1000 * screening.config.prevalence:.3g} of 1,000 women at screening have cancer, "
            f"the threshold for {point.name} would find {rates.detected.value:.1f} of them and "
            f"flag {rates.false_alarms.value:.0f} women who have none."
        )
    sentences.append(
        "This says how the model did on these images. It says nothing about other machines, other "
        "women or a clinic that is not like this test set, and nothing about what a radiologist "
        "would do with it."
    )
    return sentences


def _ranking(images: LevelResult) -> str:
    return (
        f"Shown one malignant and one benign image, the model gives the malignant one the higher "
        f"score {_of_hundred(images.auc.value)} times in 100; guessing would do so 50 times."
    )


def _decisions(level: LevelResult, point: PointResult) -> list[str]:
    plural, counts = PLURAL[level.level], point.counts
    sick, well = level.n_malignant, level.n - level.n_malignant
    return [
        f"At its threshold it flags {counts.true_positives:,} of the {sick:,} malignant {plural} "
        f"here and misses {sick - counts.true_positives:,}; of the {well:,} benign ones it flags "
        f"{counts.false_positives:,} by mistake.",
        f"With other {plural} of the same kind, one would expect it to find "
        f"{_range(point.sensitivity)} of 100 malignant ones, and to leave alone "
        f"{_range(point.specificity)} of 100 benign ones.",
    ]


def _of_hundred(share: float) -> str:
    return f"{100 * share:.0f}"


def _range(share: Interval) -> str:
    low, high = _of_hundred(share.low), _of_hundred(share.high)
    return low if low == high else f"{low} to {high}"
