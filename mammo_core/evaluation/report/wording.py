"""An evaluation in words: for readers of the report, the model card and the KFP UI."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mammo_core.evaluation.aggregate import Level
from mammo_core.evaluation.levels import LevelResult
from mammo_core.evaluation.patches import PatchEvaluation
from mammo_core.evaluation.whole_image import EvaluationResult
from mammo_core.metrics import Interval

if TYPE_CHECKING:
    import pandas as pd

PLURAL: Mapping[Level, str] = {"image": "images", "breast": "breasts", "patient": "patients"}

#: What the measures mean, for readers who do not live in statistics.
GLOSSARY = {
    "AUC": "The share of pairs of one malignant and one benign image in which the malignant one "
    "has the higher probability. 0.5 is guessing, 1 is perfect. It depends on no threshold.",
    "95 % interval": "A range that would hold the true value in about 95 of 100 such "
    "studies, each with other patients. It comes from drawing the patients of the test set again "
    "and again, with all their images. Two values whose intervals overlap may well be equal.",
    "Sensitivity": "Share of the malignant ones that are called malignant.",
    "Specificity": "Share of the benign ones that are called benign.",
    "Operating point": "The probability from which an image is called malignant. It is chosen on "
    "the validation patients; the test patients only measure it.",
    "Average precision": "Mean share of truly malignant ones among those called malignant, over "
    "all sensitivities. Guessing gives the share of malignant ones in the set.",
    "Partial AUC": "The part of the area under the ROC curve where sensitivity is high enough for "
    "screening.",
    "Calibration": "Among images with a calibrated probability of 0.3, three in ten should be "
    "malignant. The share of malignant images in a research set is far above that of "
    "screening, so the probability is not a woman's risk.",
    "Brier score": "Mean squared distance between probability and truth; 0 is best.",
}


def levels_table(result: EvaluationResult) -> list[dict[str, str]]:
    """Return the measures as rows: name, then a column per level."""
    config = result.config
    names = {
        "auc": "AUC",
        "average_precision": "Average precision",
        "partial_auc": f"Partial AUC, sensitivity ≥ {config.partial_sensitivity:.2f} "
        f"(at most {1 - config.partial_sensitivity:.2f})",
        "sensitivity_at_specificity": "Sensitivity at specificity "
        f"{config.operating_specificity:.2f} on this curve",
        "specificity_at_sensitivity": "Specificity at sensitivity "
        f"{config.operating_sensitivity:.2f} on this curve",
        "brier": "Brier score",
        "brier_calibrated": f"Brier score, calibrated ({result.rules.image.calibration.method})",
    }
    rows = [
        {
            "measure": name,
            **{f"per {level.level}": str(getattr(level, key)) for level in result.levels},
        }
        for key, name in names.items()
    ]
    delong = {f"per {level.level}": str(level.auc_delong or "–") for level in result.levels}
    return [rows[0], {"measure": "AUC, DeLong's interval by patient", **delong}, *rows[1:]]


def points_table(result: EvaluationResult) -> list[dict[str, object]]:
    """Return the operating points as rows, one per level and point."""
    return [
        {
            "per": level.level,
            "operating point": point.name,
            "threshold": point.threshold,
            "sensitivity on test": str(point.sensitivity),
            "specificity on test": str(point.specificity),
            "on validation": f"{point.validation_sensitivity:.3f} / "
            f"{point.validation_specificity:.3f}",
            "found": f"{point.counts.true_positives} of {level.n_malignant}",
            "false alarms": f"{point.counts.false_positives} of {level.n - level.n_malignant}",
        }
        for level in result.levels
        for point in level.operating_points
    ]


def subgroups_table(result: EvaluationResult) -> list[dict[str, object]]:
    """Return the subgroups as rows."""
    return [
        {
            "by": group.by,
            "group": group.group,
            "images": group.n_images,
            "malignant": group.n_malignant,
            "patients": group.n_patients,
            "AUC": "–" if group.auc is None else str(group.auc),
            "sensitivity": group.sensitivity,
            "specificity": group.specificity,
            "note": group.warning,
        }
        for group in result.subgroups
    ]


def errors_table(
    test: "pd.DataFrame", result: EvaluationResult, most: int = 10
) -> list[dict[str, object]]:
    """Return the images that were called wrongly, as rows, the worst of each kind first.

    Args:
        test: The predictions that were evaluated.
        result: Of them.
        most: Rows of each kind.

    Returns:
        Malignant images below the first operating point and benign ones above it; none where
        there is no operating point.
    """
    point = result.rules.image.point()
    if point is None:
        return []
    ordered = test.sort_values(["probability", "image_id"])
    called = ordered["probability"] >= point.threshold
    missed = ordered[(ordered["label"] == 1) & ~called].head(most)
    alarms = ordered[(ordered["label"] == 0) & called].iloc[::-1].head(most)
    facts = [name for name in ("lesion_types", "breast_density") if name in test.columns]
    return [
        {
            "what": what,
            "view": row["view_id"],
            "probability": row["probability"],
            **{name.replace("_", " "): row[name] for name in facts},
        }
        for what, rows in (("missed", missed), ("false alarm", alarms))
        for row in rows.to_dict("records")
    ]


def in_short(result: EvaluationResult) -> list[str]:
    """Return the findings as a few sentences."""
    images = result.levels[0]
    sentences = [
        f"Tested on {images.n:,} images of {images.n_patients:,} patients, none of whom "
        f"is in its training set; {images.n_malignant:,} images are malignant.",
        f"Of 100 pairs of a malignant and a benign image, the malignant one gets the higher "
        f"probability in {100 * images.auc.value:.0f} (AUC {_told(images.auc)}).",
    ]
    sentences += [
        f"Per {level.level}: AUC {_told(level.auc)}."
        for level in result.levels
        if level.level != "image"
    ]
    if images.operating_points:
        point = images.operating_points[0]
        sentences.append(
            f"At the operating point chosen on validation it finds "
            f"{point.counts.true_positives:,} of {images.n_malignant:,} malignant images "
            f"(sensitivity {_told(point.sensitivity)}) and gives a false alarm on "
            f"{point.counts.false_positives:,} of {images.n - images.n_malignant:,} benign ones "
            f"(specificity {_told(point.specificity)})."
        )
    return sentences


def cautions(result: EvaluationResult) -> list[str]:
    """Return what a reader has to keep in mind about this very evaluation."""
    told = [
        f"Few {PLURAL[level.level]} to test on ({level.warning}): the intervals are wide and "
        "themselves uncertain."
        for level in result.levels
        if level.warning and level.level == "image"
    ]
    measured = {level.level for level in result.levels}
    told += [
        f"No measures per {level}: all {PLURAL[level]} of the test set are of one class, or too "
        "few patients are."
        for level in PLURAL
        if level not in measured
    ]
    rules = result.rules.image
    if not rules.operating_points:
        told.append("No operating point: the validation set holds one class only.")
    elif min(rules.n_malignant, rules.n_benign) < 30:
        told.append(
            f"Operating points and calibration come from {rules.n_malignant} malignant and "
            f"{rules.n_benign} benign validation images: they may not hold elsewhere."
        )
    if rules.operating_points and rules.calibration.method != result.config.calibration:
        told.append("Not calibrated: on validation the classifier was no better than chance.")
    return told


def markdown(result: EvaluationResult, patches: PatchEvaluation | None = None) -> str:
    """Return the findings as Markdown (the KFP UI shows it beside the run)."""
    rows = levels_table(result)
    columns = list(rows[0])
    lines = [
        "# Evaluation",
        "",
        "**Research use only. Not a medical device.**",
        "",
        *(f"- {sentence}" for sentence in in_short(result)),
        *(f"- **Caution:** {sentence}" for sentence in cautions(result)),
        "",
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
        *(f"| {' | '.join(row[column] for column in columns)} |" for row in rows),
        "",
    ]
    if patches is not None:
        told = (
            ""
            if patches.accuracy_ci95 is None
            else " ({:.3f}–{:.3f})".format(*patches.accuracy_ci95)
        )
        lines += [
            f"Patch classifier: accuracy {patches.accuracy:.3f}{told} on {patches.n_patches:,} "
            f"patches of {len(patches.class_names)} classes.",
            "",
        ]
    return "\n".join(lines)


def curve_label(level: LevelResult) -> str:
    """Return what a curve's legend says."""
    return f"per {level.level}: AUC {level.auc}"


def _told(interval: Interval) -> str:
    # No line breaks before the per cent sign.
    return f"{interval.value:.3f}, 95\u00a0% interval {interval.low:.3f}–{interval.high:.3f}"
