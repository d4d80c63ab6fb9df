"""An experiment's end as files: table (CSV, Markdown, JSON), plot (PNG) and page (HTML)."""

import json
from typing import Any

import pandas as pd

from mammo_core.experiments.results import Result
from mammo_core.reporting import Page, Table, interval_plot
from mammo_core.reporting.page import format_value


def files(result: Result, title: str, command: str) -> dict[str, bytes]:
    """Return every file of the result by name.

    Args:
        result: Of the experiment.
        title: Of the page.
        command: What made it; stands in the Markdown table and on the page.
    """
    plot = _plot(result)
    page = Page(title, result.conclusion)
    page.section("Result").facts({"Command": command, "Conclusion": result.conclusion})
    page.table(Table.from_records(result.summary))
    page.figure(plot, "AUC on the test patients with 95 % intervals (patients resampled)")
    page.section("Runs").table(Table.from_records(result.rows))
    return {
        "table.csv": pd.DataFrame(result.rows).to_csv(index=False).encode(),
        "summary.csv": pd.DataFrame(result.summary).to_csv(index=False).encode(),
        "table.md": markdown(result, command).encode(),
        "result.json": (json.dumps(result.to_dict(), indent=1) + "\n").encode(),
        "plot.png": plot,
        "report.html": page.html().encode(),
    }


def markdown(result: Result, command: str) -> str:
    """Return the tables as they go into a document."""
    return (
        f"    {command}\n\n{_table(result.summary)}\n{_table(result.rows)}\n{result.conclusion}\n"
    )


def _table(rows: list[dict[str, Any]]) -> str:
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(format_value(row.get(name)) for name in names)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _plot(result: Result) -> bytes:
    curve = result.kind == "transfer-curve"
    return interval_plot(
        [(row["arm"], row["auc"], row["low"], row["high"]) for row in result.summary],
        [(row["arm"], row["auc"]) for row in result.rows],
        title=result.kind,
        positions=[row["patients"] for row in result.summary] if curve else None,
    )
