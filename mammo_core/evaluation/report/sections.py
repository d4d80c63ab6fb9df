"""The sections of a report about the whole-image classifier."""

import numpy as np

from mammo_core.evaluation.levels import LevelResult
from mammo_core.evaluation.report import tables, wording
from mammo_core.evaluation.whole_image import EvaluationResult
from mammo_core.reporting import (
    Page,
    Table,
    confusion_plot,
    curves_plot,
    forest_plot,
    reliability_plot,
)

DIAGONAL = ((0, 1), (0, 1))


def summary(page: Page, result: EvaluationResult) -> None:
    """Add the main results in sentences."""
    page.section("In short")
    for sentence in wording.summary_sentences(result):
        page.text(sentence)
    for caution in wording.cautions(result):
        page.warning(caution)


def on_test(page: Page, result: EvaluationResult) -> None:
    """Add metrics, curves and operating points on the test set."""
    low, high = result.auc_ci95
    page.section(
        "Whole-image classifier on the test set",
        f"{result.n_images:,} images of {result.n_views:,} views, {result.n_breasts:,} breasts and "
        f"{result.n_patients:,} patients; {result.n_malignant:,} images "
        f"({result.n_malignant_views:,} views) are malignant. Intervals: 95 %, "
        f"{result.replicates:,} bootstrap replicates by patient.",
    )
    aggregation = result.rules.aggregation
    numbers = {"AUC per image": (result.auc, f"95 % interval {low:.3f}–{high:.3f}")}
    for name, interval, how in (
        ("AUC per breast", result.breast_auc, f"{aggregation.views} over views"),
        ("AUC per patient", result.patient_auc, f"{aggregation.sides} over breasts"),
    ):
        if interval is not None:
            numbers[name] = (interval.value, f"{interval.low:.3f}–{interval.high:.3f}, {how}")
    images = result.levels[0]
    if images.operating_points:
        point = images.operating_points[0]
        numbers["Sensitivity"] = (point.sensitivity.value, f"at threshold {point.threshold:.3f}")
        numbers["Specificity"] = (
            point.specificity.value,
            f"threshold chosen on validation ({point.validation_specificity:.3f} there)",
        )
    page.numbers(numbers)
    page.table(Table.from_records(tables.metrics_table(result)))
    _curves(page, result)
    _operating_points(page, images, result)


def _curves(page: Page, result: EvaluationResult) -> None:
    images = result.levels[0]
    points = {
        point.name: (1 - point.specificity.value, point.sensitivity.value)
        for point in images.operating_points
    }
    page.figure(
        curves_plot(
            {
                wording.curve_label(level): (
                    level.roc.false_positive_rate,
                    level.roc.true_positive_rate,
                )
                for level in result.levels
            },
            title="ROC curve",
            x="1 − specificity",
            y="Sensitivity",
            points=points,
            chance=DIAGONAL,
        ),
        "Test set; the points are the operating points per image",
        wide=False,
    )
    share = images.n_malignant / images.n
    page.figure(
        curves_plot(
            {
                f"per {level.level}: {_average_precision(level)}": (
                    level.precision_recall.recall,
                    level.precision_recall.precision,
                )
                for level in result.levels
            },
            title="Precision and recall",
            x="Recall (sensitivity)",
            y="Precision",
            chance=((0, 1), (share, share)),
            legend="lower left",
        ),
        "Test set; average precision in the legend",
        wide=False,
    )
    before, after = images.reliability, images.reliability_calibrated
    method = result.rules.image.calibration.method
    curves = {"as predicted": before}
    if method != "none":
        curves[f"calibrated ({method})"] = after
    page.figure(
        reliability_plot(
            {name: (curve.predicted, curve.observed) for name, curve in curves.items()},
            {name: (curve.low, curve.high) for name, curve in curves.items()},
            list(curves.values())[-1].counts,
        ),
        "Test set, per image, with the number of images; calibration fitted on validation",
        wide=False,
    )


def _operating_points(page: Page, images: LevelResult, result: EvaluationResult) -> None:
    if not images.operating_points:
        page.text("No operating point: the validation set has one class only.")
        return
    counts = images.operating_points[0].counts
    matrix = np.array(
        [
            [counts.true_negatives, counts.false_positives],
            [counts.false_negatives, counts.true_positives],
        ]
    )
    page.figure(
        confusion_plot(matrix, ("benign", "malignant"), "At the operating point"),
        f"Images of the test set at {images.operating_points[0].name}; the threshold comes from "
        "validation",
        wide=False,
    )
    page.section(
        "Operating points",
        "Chosen on the validation set. The column “on validation” gives sensitivity / "
        "specificity there; the difference on the test set shows how well the threshold "
        "generalizes.",
    )
    page.table(Table.from_records(tables.points_table(result)))


def groups(page: Page, result: EvaluationResult) -> None:
    """Add the subgroups."""
    if not result.subgroups:
        return
    page.section(
        "Subgroups",
        "Per image; sensitivity and specificity at the first operating point. Small groups are "
        "marked: their differences are likely to be due to chance.",
    )
    lowest = wording.lowest_group(result)
    if lowest:
        page.text(lowest)
    page.table(Table.from_records(tables.subgroups_table(result)))
    rows = [
        (
            f"{group.by}: {group.group} ({group.n_images})",
            group.auc.value,
            group.auc.low,
            group.auc.high,
        )
        for group in result.subgroups
        if group.auc is not None
    ]
    if rows:
        page.figure(
            forest_plot(
                rows, title="AUC by subgroup", x="AUC, 95 % interval", reference=result.auc
            ),
            "Dotted: all images",
        )
    if result.group_differences:
        page.text(
            "Do the groups differ? Tested on the same draws of patients; groups with fewer than "
            f"{result.config.small_group} patients of a class are left out."
        )
        page.table(Table.from_records(tables.differences_table(result)))


def glossary(page: Page) -> None:
    """Add the meaning of metrics and terms."""
    page.section("How to read this").facts(wording.glossary())


def _average_precision(level: LevelResult) -> str:
    return tables.format_value(level.metrics.get("average_precision"))
