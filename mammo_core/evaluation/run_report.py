"""The report of a whole run, as one HTML page made of plain data."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.evaluation.patches import PatchEvaluation
from mammo_core.evaluation.whole_image import EvaluationResult
from mammo_core.reporting import (
    Overlay,
    Page,
    Table,
    confusion_plot,
    contact_sheet,
    overlay,
    roc_plot,
    training_plot,
)

_REJECTS_SHOWN = 100


def report(
    *,
    title: str,
    facts: Mapping[str, Any],
    result: EvaluationResult,
    dataset_counts: Iterable[Mapping[str, Any]] = (),
    patches: PatchEvaluation | None = None,
    histories: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    patch_examples: Mapping[str, npt.NDArray[np.uint16]] | None = None,
    overlays: Sequence[Overlay] = (),
    rejects: Iterable[Mapping[str, Any]] = (),
    seconds: Mapping[str, float] | None = None,
) -> str:
    """Return the report of a run. Sections without data are left out, except the rejects.

    Args:
        title: Of the page, for instance the name of the recipe.
        facts: Shown as name and value: run id, recipe, git sha, dataset ids, …
        result: The whole-image evaluation on the test set.
        dataset_counts: Rows of the table of counts, for instance split, images, views, …
        patches: The patch classifier's evaluation.
        histories: For every training its epochs: mappings with stage, epoch, loss, accuracy,
            val_loss, val_accuracy, val_auc, learning_rate, images_per_s.
        patch_examples: For every patch class `(n, h, w) uint16`.
        overlays: Test views with heatmaps.
        rejects: Rows item, kind, reason, step.
        seconds: For every step, how long it took.

    Returns:
        HTML that needs no network and no other file.
    """
    page = Page(title, "From mammograms to an evaluated whole-image classifier")
    page.section("Run").facts(facts)
    _test_set(page, result)
    counts = list(dataset_counts)
    if counts:
        page.section("Data").table(Table.of(counts))
    if patches is not None:
        _patch_classifier(page, patches)
    if any((histories or {}).values()):
        _trainings(page, histories or {})
    if patch_examples:
        page.section("Patches").figure(
            contact_sheet(patch_examples),
            "Examples of every patch class, each stretched on its own",
        )
    if overlays:
        page.section(
            "Heatmaps",
            "The patch classifier over the whole view: where it sees a lesion, benign or "
            "malignant. Outlined: lesions as annotated by the radiologist.",
        )
        for picture in overlays:
            page.figure(overlay(picture), picture.caption)
    _rejects(page, list(rejects))
    if seconds:
        _seconds(page, seconds)
    return page.html()


def _test_set(page: Page, result: EvaluationResult) -> None:
    low, high = result.auc_ci95
    page.section(
        "Whole-image classifier on the test set",
        f"{result.n_images:,} images of {result.n_views:,} views, {result.n_breasts:,} breasts and "
        f"{result.n_patients:,} patients; {result.n_malignant:,} images "
        f"({result.n_malignant_views:,} views) are malignant. Intervals: 95 %, "
        f"{result.replicates:,} bootstrap replicates by patient.",
    )
    numbers: dict[str, tuple[Any, str]] = {
        "AUC per image": (result.auc, f"95 % interval {low:.3f}–{high:.3f}")
    }
    for name, interval, how in (
        ("AUC per breast", result.breast_auc, "mean over views"),
        ("AUC per patient", result.patient_auc, "higher breast"),
    ):
        if interval is not None:
            numbers[name] = (interval.value, f"{interval.low:.3f}–{interval.high:.3f}, {how}")
    counts, point = result.at_operating_point, result.operating_point
    points = {}
    if counts is not None and point is not None:
        numbers["Sensitivity"] = (result.sensitivity, f"at threshold {point.threshold:.3f}")
        numbers["Specificity"] = (
            result.specificity,
            f"threshold chosen on validation ({point.specificity:.3f} there)",
        )
        if result.sensitivity is not None and result.specificity is not None:
            points = {"Operating point": (1 - result.specificity, result.sensitivity)}
    page.numbers(numbers)
    page.figure(
        roc_plot(
            result.roc.false_positive_rate,
            result.roc.true_positive_rate,
            label=f"AUC {result.auc:.3f} ({low:.3f}–{high:.3f})",
            points=points,
        ),
        "Per image, test set",
        wide=False,
    )
    if counts is None:
        page.text("No operating point: the validation set holds one class only.")
        return
    matrix = np.array(
        [
            [counts.true_negatives, counts.false_positives],
            [counts.false_negatives, counts.true_positives],
        ]
    )
    page.figure(
        confusion_plot(matrix, ("benign", "malignant"), "At the operating point"),
        "Images of the test set; the threshold comes from validation",
        wide=False,
    )


def _patch_classifier(page: Page, patches: PatchEvaluation) -> None:
    page.section("Patch classifier", f"{patches.n_patches:,} patches it was not fitted to.")
    page.numbers({"Patch accuracy": (patches.accuracy, f"{len(patches.class_names)} classes")})
    page.figure(
        confusion_plot(np.array(patches.confusion), patches.class_names, "Patches"),
        "Shade: share of the true class",
        wide=False,
    )
    page.table(
        Table(
            ("class", "patches", "right", "AUC against the rest"),
            tuple(
                (name, count, patches.confusion[index][index], patches.class_auc[index])
                for index, (name, count) in enumerate(
                    zip(patches.class_names, patches.class_counts, strict=True)
                )
            ),
        )
    )


def _trainings(page: Page, histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    page.section("Training")
    for name, history in histories.items():
        if not history:
            continue
        rates = [epoch["images_per_s"] for epoch in history if epoch.get("images_per_s")]
        speed = f", {np.mean(rates):,.1f} images/s" if rates else ""
        count = f"{len(history)} epoch{'s' if len(history) > 1 else ''}"
        page.figure(training_plot(history, name), f"{name}: {count}{speed}")


def _rejects(page: Page, rejects: list[Mapping[str, Any]]) -> None:
    page.section("Rejects")
    if not rejects:
        page.text("Nothing was rejected.")
        return
    kinds = Counter((str(row.get("step", "")), str(row.get("kind", ""))) for row in rejects)
    page.text(
        f"{len(rejects):,} items were left out: "
        + ", ".join(
            f"{count:,} × {kind} at {step}" for (step, kind), count in sorted(kinds.items())
        )
        + "."
    )
    page.table(Table.of(rejects, ("item", "kind", "step", "reason"), most=_REJECTS_SHOWN))


def _seconds(page: Page, seconds: Mapping[str, float]) -> None:
    rows = [{"step": name, "seconds": f"{value:,.1f}"} for name, value in seconds.items()]
    rows.append({"step": "all steps", "seconds": f"{sum(seconds.values()):,.1f}"})
    page.section("Time").table(Table.of(rows))
