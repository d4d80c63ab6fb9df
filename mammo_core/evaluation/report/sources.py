"""The section of a report about several sources: the source matrix."""

from collections.abc import Sequence

from mammo_core.evaluation.report import tables
from mammo_core.evaluation.source_matrix import ALL, SourceResult
from mammo_core.metrics import MetricSettings, metrics
from mammo_core.reporting import Page, Table, forest_plot
from mammo_core.sources.several.names import EXTERNAL


def sources_table(results: Sequence[SourceResult]) -> list[dict[str, object]]:
    """Return the source matrix as rows: a source each.

    Args:
        results: The performance on each source.
    """
    return [
        {
            "tested on": result.source,
            "patients of it": _part(result),
            "images": result.n_images,
            "malignant": result.n_malignant,
            "patients": result.n_patients,
            "AUC": _interval(result.auc),
            "sensitivity": _interval(result.sensitivity),
            "specificity": _interval(result.specificity),
        }
        for result in results
    ]


def source_metrics_table(
    results: Sequence[SourceResult], settings: MetricSettings
) -> list[dict[str, object]]:
    """Return all metrics as rows, with a column for each source: there are too many for columns.

    Args:
        results: The performance on each source.
        settings: Those that the metrics were computed with.
    """
    return [
        {
            "metric": metric.row_label(settings),
            **{
                result.source: tables.format_value(result.metrics.get(metric.name), metric.decimals)
                for result in results
            },
        }
        for metric in metrics()
        if any(metric.name in result.metrics for result in results)
    ]


def sources(page: Page, results: Sequence[SourceResult], settings: MetricSettings) -> None:
    """Add the source matrix.

    Args:
        page: The page.
        results: The performance on each source; nothing is added where there is none.
        settings: Those that the metrics were computed with.
    """
    if not results:
        return
    trained = [r.source for r in results if r.role != EXTERNAL and r.source != ALL]
    held_out = [r.source for r in results if r.role == EXTERNAL]
    text = (
        f"Trained on {', '.join(trained)}; held out: {', '.join(held_out) or 'none'}. Per image, "
        "with 95 % intervals by patient. Of a training source its test patients count, of one "
        "that is held out all patients: no training, no threshold and no calibration has seen "
        "them. Sensitivity and specificity are at the first operating point, chosen on the "
        "validation patients of the training sources."
    )
    page.section("Source matrix", text)
    page.table(Table.from_records(sources_table(results)))
    for result in results:
        if result.note:
            page.text(f"{result.source}: {result.note}.")
    rows = source_metrics_table(results, settings)
    if rows:
        page.table(Table.from_records(rows))
    bars = [
        (
            f"{result.source}{', held out' if result.role == EXTERNAL else ''}",
            auc.value,
            auc.low,
            auc.high,
        )
        for result in results
        if (auc := result.auc) is not None
    ]
    if bars:
        reference = next((bar[1] for bar in bars if bar[0].startswith(ALL)), bars[0][1])
        page.figure(
            forest_plot(bars, title="AUC by source", x="AUC, 95 % interval", reference=reference),
            f"Dotted: {ALL if len(trained) > 1 else trained[0]}",
        )


def _part(result: SourceResult) -> str:
    return "all, held out" if result.role == EXTERNAL else "test patients"


def _interval(value: object) -> str:
    return "–" if value is None else str(value)
