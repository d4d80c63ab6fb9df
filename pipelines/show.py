"""The summary that is shown at the end of a local run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mammo_core.errors import RunError, StepFailedError
from mammo_core.runs import Run, summarize
from mammo_core.store import Store


def show(store: Store, run_id: str, folder: Path, seconds: float) -> dict[str, Any]:
    """Copy the summary and the report of a run to its folder, and print the summary.

    Args:
        store: The store of the run.
        run_id: Id of the run.
        folder: Local folder of the run.
        seconds: Duration of the whole run.

    Returns:
        The summary.
    """
    run = Run(store, run_id)
    # The exit handler writes the state; if it failed too, there are only the steps' statuses.
    summary = summarize(run, run.recipe_name(), run.summary().get("state", "failed"))
    summary["seconds"]["all"] = round(seconds, 1)
    summary["log"] = str(folder.absolute() / "steps.log")
    if summary["report"]:
        report = folder.absolute() / "report.html"
        report.write_bytes(store.read(summary["report"]))
        summary["report"] = str(report)
    (folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    _print(summary, folder)
    return summary


def run_error(summary: Mapping[str, Any]) -> RunError:
    """Return the error of a failed run: that of its first failed step, if there is one."""
    for step, message in summary["errors"].items():
        return StepFailedError(step, message)
    return RunError(
        f"The run {summary['run_id']} did not finish",
        expected="every step to succeed",
        received="no error",
        hint=f"read {summary['log']}; run the same command again to resume",
    )


def _print(summary: Mapping[str, Any], folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"run {summary['run_id']}", show_header=False)
    for name, data in summary["datasets"].items():
        counts = ", ".join(
            f"{count} {unit}"
            for unit, count in data["counts"].items()
            if count and "reject" not in unit
        )
        table.add_row(name, f"{counts} ({data['rejects']} rejects)")
    for split, counts in (summary["splits"] or {}).items():
        table.add_row(split, ", ".join(f"{count} {unit}" for unit, count in counts.items()))
    if summary["auc"] is not None:
        low, high = summary["auc_ci95"]
        table.add_row("patch accuracy", f"{summary['patch_accuracy']:.3f}")
        table.add_row("test AUC", f"{summary['auc']:.3f} (95 % interval {low:.3f}–{high:.3f})")
        table.add_row(
            "test set", f"{summary['n_test_images']} images, {summary['n_test_patients']} patients"
        )
    gate = summary["gate"]
    if gate is not None:
        verdict = "passed" if gate["passed"] else "not passed"
        table.add_row("gate", f"{verdict}: {'; '.join(gate['reasons'])}")
    for step, seconds in summary["seconds"].items():
        reused = " (reused)" if summary["reused"].get(step) else ""
        table.add_row(f"time {step}", f"{seconds:.1f} s{reused}")
    console = Console()
    console.print(table)
    console.print(f"summary: {folder / 'summary.json'}", soft_wrap=True)
    if summary["report"]:
        console.print(f"report:  {summary['report']}", soft_wrap=True)
    if summary["model_uri"]:
        console.print(f"model:   {summary['model_uri']}", soft_wrap=True)
