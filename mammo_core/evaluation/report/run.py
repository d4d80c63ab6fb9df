"""The report of a whole run, as one HTML page built from plain data."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.evaluation.localization.measure import Localization
from mammo_core.evaluation.patches import PatchEvaluation
from mammo_core.evaluation.report import sections
from mammo_core.evaluation.report.lesions import lesions
from mammo_core.evaluation.report.plain_words import plain_words
from mammo_core.evaluation.report.screening import screening as add_screening
from mammo_core.evaluation.report.sources import sources as add_sources
from mammo_core.evaluation.screening import Screening
from mammo_core.evaluation.source_matrix import SourceResult
from mammo_core.evaluation.whole_image import EvaluationResult
from mammo_core.reporting import (
    Overlay,
    Page,
    Table,
    confusion_plot,
    contact_sheet,
    overlay,
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
    errors: Iterable[Mapping[str, Any]] = (),
    overlays: Sequence[Overlay] = (),
    regions: Iterable[Mapping[str, Any]] = (),
    localization: Localization | None = None,
    screening: Screening | None = None,
    by_source: Sequence[SourceResult] = (),
    rejects: Iterable[Mapping[str, Any]] = (),
    seconds: Mapping[str, float] | None = None,
) -> str:
    """Return the report of a run. Sections without data are omitted, except the rejects.

    Args:
        title: Title of the page, for instance the name of the recipe.
        facts: Shown as name and value: run id, recipe, git sha, dataset ids, …
        result: The whole-image evaluation on the test set.
        dataset_counts: Rows of the table of counts, for instance split, images, views, …
        patches: The evaluation of the patch classifier.
        histories: For each training its epochs: mappings with stage, epoch, loss, accuracy,
            val_loss, val_accuracy, val_auc, learning_rate, images_per_s.
        patch_examples: For each patch class `(n, h, w) uint16`, [0, 65535].
        errors: Rows of the table of wrongly classified images (`tables.errors_table`).
        overlays: Test views with heatmaps.
        regions: Rows of the table of the hottest regions in them.
        localization: How well heatmaps find the lesions.
        screening: What the model would do in screening.
        by_source: The performance on each of several sources.
        rejects: Rows item, kind, reason, step.
        seconds: Duration of each step.

    Returns:
        HTML that needs no network and no other file.
    """
    page = Page(title, "From mammograms to an evaluated whole-image classifier")
    page.section("In plain words")
    for sentence in plain_words(result, localization, screening):
        page.text(sentence)
    sections.summary(page, result)
    sections.on_test(page, result)
    settings = result.config.metric_settings(result.rules.image.calibration.method)
    add_sources(page, by_source, settings)
    sections.groups(page, result)
    if screening is not None:
        add_screening(page, screening)
    error_rows = list(errors)
    if error_rows:
        page.section(
            "Missed and false alarms",
            "The worst of each kind at the first operating point.",
        )
        page.table(Table.from_records(error_rows))
    counts = list(dataset_counts)
    if counts:
        page.section("Data").table(Table.from_records(counts))
    if patches is not None:
        _patch_classifier(page, patches)
    if any((histories or {}).values()):
        _trainings(page, histories or {})
    if patch_examples:
        page.section("Patches").figure(
            contact_sheet(patch_examples),
            "Examples of each patch class, each with its own contrast",
        )
    if overlays:
        page.section(
            "Heatmaps",
            "The patch classifier on the whole view: its probability of a lesion, benign or "
            "malignant. Outlined: lesions annotated by the radiologist.",
        )
        for picture in overlays:
            page.figure(overlay(picture), picture.caption)
        rows = list(regions)
        if rows:
            page.text("The hottest regions; rows and columns in pixels from the upper left corner.")
            page.table(Table.from_records(rows))
    if localization is not None:
        lesions(page, localization)
    _rejects(page, list(rejects))
    if seconds:
        _seconds(page, seconds)
    page.section("Where this comes from").facts(facts)
    sections.glossary(page)
    return page.html()


def _patch_classifier(page: Page, patches: PatchEvaluation) -> None:
    page.section("Patch classifier", f"{patches.n_patches:,} patches that it was not fitted to.")
    note = f"{len(patches.class_names)} classes"
    if patches.accuracy_ci95 is not None:
        low, high = patches.accuracy_ci95
        note = f"95 % interval {low:.3f}–{high:.3f}, {note}"
    page.numbers({"Patch accuracy": (patches.accuracy, note)})
    page.figure(
        confusion_plot(np.array(patches.confusion), patches.class_names, "Patches"),
        "Shade: share of the true class",
        wide=False,
    )
    page.table(
        Table(
            ("class", "patches", "correct", "AUC against the rest", "95 % interval"),
            tuple(
                (
                    name,
                    count,
                    patches.confusion[index][index],
                    patches.class_auc[index],
                    _interval(patches, index),
                )
                for index, (name, count) in enumerate(
                    zip(patches.class_names, patches.class_counts, strict=True)
                )
            ),
        )
    )


def _interval(patches: PatchEvaluation, index: int) -> str:
    if not patches.class_auc_ci95 or (ends := patches.class_auc_ci95[index]) is None:
        return "–"
    return f"{ends[0]:.3f}–{ends[1]:.3f}"


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
        f"{len(rejects):,} items were rejected: "
        + ", ".join(
            f"{count:,} × {kind} at {step}" for (step, kind), count in sorted(kinds.items())
        )
        + "."
    )
    columns = ("item", "kind", "step", "reason")
    page.table(Table.from_records(rejects, columns, limit=_REJECTS_SHOWN))


def _seconds(page: Page, seconds: Mapping[str, float]) -> None:
    rows = [{"step": name, "seconds": f"{value:,.1f}"} for name, value in seconds.items()]
    rows.append({"step": "all steps", "seconds": f"{sum(seconds.values()):,.1f}"})
    page.section("Time").table(Table.from_records(rows))
