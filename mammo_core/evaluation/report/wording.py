"""The results of an evaluation in sentences, for the report and the KFP UI."""

from collections.abc import Mapping

from mammo_core.evaluation.aggregate import Level
from mammo_core.evaluation.levels import LevelResult
from mammo_core.evaluation.patches import PatchEvaluation
from mammo_core.evaluation.report.tables import metrics_table
from mammo_core.evaluation.whole_image import EvaluationResult
from mammo_core.metrics import Interval, metrics

PLURAL: Mapping[Level, str] = {"image": "images", "breast": "breasts", "patient": "patients"}

_INTERVAL = (
    "A range that would contain the true value in about 95 of 100 such studies, each with other "
    "patients. It is computed by drawing the patients of the test set again and again, with all "
    "their images. Two values whose intervals overlap may well be equal."
)
_TERMS = {
    "95 % interval": _INTERVAL,
    "Sensitivity": "Share of the malignant ones that are called malignant.",
    "Specificity": "Share of the benign ones that are called benign.",
    "Operating point": "The probability from which an image is called malignant. It is chosen on "
    "the validation patients; the test patients only measure it.",
    "Calibration": "Among images with a calibrated probability of 0.3, three in ten should be "
    "malignant. The share of malignant images in a research set is far above that of "
    "screening, so the probability is not a woman's risk.",
}


def glossary() -> dict[str, str]:
    """Return what metrics and terms mean, for readers who are not statisticians."""
    return {metric.label: metric.description for metric in metrics()} | _TERMS


def auc_glossary() -> dict[str, str]:
    """Return the entries of the glossary that a page about the AUC alone needs."""
    entries = glossary()
    return {name: entries[name] for name in ("AUC", "95 % interval")}


def summary_sentences(result: EvaluationResult) -> list[str]:
    """Return the main results as a few sentences."""
    images = result.levels[0]
    sentences = [
        f"Tested on {images.n:,} images of {images.n_patients:,} patients, none of whom "
        f"is in its training set; {images.n_malignant:,} images are malignant.",
        f"Of 100 pairs of a malignant and a benign image, the malignant one gets the higher "
        f"probability in {100 * images.auc.value:.0f} (AUC {_format_interval(images.auc)}).",
    ]
    sentences += [
        f"Per {level.level}: AUC {_format_interval(level.auc)}."
        for level in result.levels
        if level.level != "image"
    ]
    if images.operating_points:
        point = images.operating_points[0]
        sentences.append(
            f"At the operating point chosen on validation it detects "
            f"{point.counts.true_positives:,} of {images.n_malignant:,} malignant images "
            f"(sensitivity {_format_interval(point.sensitivity)}) and gives a false alarm on "
            f"{point.counts.false_positives:,} of {images.n - images.n_malignant:,} benign ones "
            f"(specificity {_format_interval(point.specificity)})."
        )
    return sentences


#: Origin of a label → words for it.
_ORIGINS = {"biopsy": "pathology", "birads": "BI-RADS", "source": "the source does not say"}


def cautions(result: EvaluationResult) -> list[str]:
    """Return the limitations of this particular evaluation."""
    sentences = [
        f"Few {PLURAL[level.level]} to test on ({level.warning}): the intervals are wide and "
        "uncertain themselves."
        for level in result.levels
        if level.warning and level.level == "image"
    ]
    evaluated = {level.level for level in result.levels}
    sentences += [
        f"No metrics per {level}: all {PLURAL[level]} of the test set are of one class, or there "
        "are too few patients."
        for level in PLURAL
        if level not in evaluated
    ]
    origins = [group for group in result.subgroups if group.by == "label origin"]
    if origins:
        counts = ", ".join(
            f"{_ORIGINS.get(group.group, group.group)} ({group.n_malignant:,} of "
            f"{group.n_images:,} images malignant)"
            for group in origins
        )
        sentences.append(
            f"Labels of several origins are mixed here: {counts}. A radiologist's category is no "
            "pathology result: compare the subgroups by label origin."
        )
    rules = result.rules.image
    if not rules.operating_points:
        sentences.append("No operating point: the validation set has one class only.")
    elif min(rules.n_malignant, rules.n_benign) < 30:
        sentences.append(
            f"Operating points and calibration are based on {rules.n_malignant} malignant and "
            f"{rules.n_benign} benign validation images: they may not hold elsewhere."
        )
    if rules.operating_points and rules.calibration.method != result.config.calibration:
        sentences.append("Not calibrated: on validation the classifier was no better than chance.")
    return sentences


def lowest_group(result: EvaluationResult) -> str:
    """Return which group has the lowest AUC of all that are large enough; empty without one."""
    groups = [
        (group.auc, group)
        for group in result.subgroups
        if group.auc is not None and not group.warning
    ]
    if not groups:
        return ""
    auc, group = min(groups, key=lambda item: item[0].value)
    return (
        f"Lowest of all groups that are not small: {group.by} {group.group}, AUC "
        f"{_format_interval(auc)} on {group.n_images:,} images. The lowest of many is low by "
        "chance, too."
    )


def markdown(result: EvaluationResult, patches: PatchEvaluation | None = None) -> str:
    """Return the results as Markdown (the KFP UI shows it with the run)."""
    rows = metrics_table(result)
    columns = list(rows[0])
    lines = [
        "# Evaluation",
        "",
        "**Research use only. Not a medical device.**",
        "",
        *(f"- {sentence}" for sentence in summary_sentences(result)),
        *(f"- **Caution:** {sentence}" for sentence in cautions(result)),
        "",
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
        *(f"| {' | '.join(row[column] for column in columns)} |" for row in rows),
        "",
    ]
    if patches is not None:
        interval = (
            ""
            if patches.accuracy_ci95 is None
            else " ({:.3f}–{:.3f})".format(*patches.accuracy_ci95)
        )
        lines += [
            f"Patch classifier: accuracy {patches.accuracy:.3f}{interval} on "
            f"{patches.n_patches:,} patches of {len(patches.class_names)} classes.",
            "",
        ]
    return "\n".join(lines)


def curve_label(level: LevelResult) -> str:
    """Return the legend entry of a ROC curve."""
    return f"per {level.level}: AUC {level.auc}"


def _format_interval(interval: Interval) -> str:
    # No line breaks before the percent sign.
    return f"{interval.value:.3f}, 95\u00a0% interval {interval.low:.3f}–{interval.high:.3f}"
