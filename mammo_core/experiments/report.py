"""The files of an experiment's result: table (CSV, Markdown, JSON), plot (PNG) and page (HTML)."""

import json
from typing import Any

import pandas as pd

from mammo_core.csv_cells import escape_row
from mammo_core.experiments.results import ExperimentResult
from mammo_core.reporting import Page, Table, forest_plot, interval_plot
from mammo_core.reporting.page import format_value

_AUC_CAPTION = "AUC on the test patients with 95 % intervals (patients resampled)"


def result_files(result: ExperimentResult, title: str, command: str) -> dict[str, bytes]:
    """Return the files of a result by name.

    Args:
        result: The result of the experiment.
        title: Title of the page.
        command: The command that produced it, for the Markdown table and the page.
    """
    plot = _plot(result)
    page = Page(title, result.conclusion)
    page.section("Result").facts({"Command": command, "Conclusion": result.conclusion})
    if result.comparisons:
        page.table(Table.from_records(_source_matrix(result)))
        page.table(Table.from_records(result.comparisons))
    page.table(Table.from_records(result.summary))
    if result.kind == "leaks":
        page.figure(plot, "What each mistake adds to the AUC, with 95 % intervals")
        page.figure(_arms_plot(result), _AUC_CAPTION)
    else:
        page.figure(plot, _AUC_CAPTION)
    page.section("Runs").table(Table.from_records(result.rows))
    return {
        "table.csv": _csv(result.rows),
        "summary.csv": _csv(result.summary),
        "table.md": _markdown(result, command).encode(),
        "result.json": (json.dumps(result.to_dict(), indent=1) + "\n").encode(),
        "plot.png": plot,
        "report.html": page.html().encode(),
    }


def _source_matrix(result: ExperimentResult) -> list[dict[str, Any]]:
    """Rows: what a network was trained on; columns: what it was tested on."""
    rows: dict[str, dict[str, Any]] = {}
    for row in result.summary:
        cells = rows.setdefault(row["trained_on"], {"trained on": row["trained_on"]})
        cells[row["tested_on"]] = f"{row['auc']:.3f} ({row['low']:.3f}–{row['high']:.3f})"
    return list(rows.values())


def _csv(rows: list[dict[str, Any]]) -> bytes:
    text: str = pd.DataFrame([escape_row(row) for row in rows]).to_csv(index=False)
    return text.encode()


def _markdown(result: ExperimentResult, command: str) -> str:
    summary, rows = _markdown_table(result.summary), _markdown_table(result.rows)
    if result.comparisons:
        matrix = _markdown_table(_source_matrix(result))
        summary = f"{matrix}\n{_markdown_table(result.comparisons)}\n{summary}"
    return f"    {command}\n\n{summary}\n{rows}\n{result.conclusion}\n"


def _markdown_table(rows: list[dict[str, Any]]) -> str:
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(format_value(row.get(name)) for name in names)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _plot(result: ExperimentResult) -> bytes:
    if result.kind != "leaks":
        return _auc_plot(result)
    return forest_plot(
        [
            (row["arm"], row["adds"], row["adds_low"], row["adds_high"])
            for row in result.summary
            if row["adds"] is not None
        ],
        title="What each mistake adds to the AUC",
        x="difference from the honest AUC of the same test images",
        reference=0.0,
    )


def _arms_plot(result: ExperimentResult) -> bytes:
    return forest_plot(
        [(row["arm"], row["auc"], row["low"], row["high"]) for row in result.summary],
        title="AUC under each mistake",
        x="AUC",
        reference=result.summary[0]["auc"],
    )


def _auc_plot(result: ExperimentResult) -> bytes:
    is_curve = result.kind == "transfer-curve"
    return interval_plot(
        [(row["arm"], row["auc"], row["low"], row["high"]) for row in result.summary],
        [(row["arm"], row["auc"]) for row in result.rows],
        title=result.kind,
        positions=[row["patients"] for row in result.summary] if is_curve else None,
    )
