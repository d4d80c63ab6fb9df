"""What a person sees at the end of a run."""

import json
from pathlib import Path
from typing import Any

from mammo_core.errors import RunError, StepFailedError
from mammo_core.runs import Run, summarize
from mammo_core.store import Store


def show(store: Store, run_id: str, folder: Path, seconds: float) -> dict[str, Any]:
    """Copy a run's summary and report to its folder and print them as a table.

    Args:
        store: The store of the run.
        run_id: The run.
        folder: `runs/<id>`.
        seconds: What the whole run took.

    Returns:
        The summary.
    """
    run = Run(store, run_id)
    # The exit handler wrote the state; if it failed too, the statuses of the steps remain.
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


def failure(summary: dict[str, Any]) -> RunError:
    """The error of a failed run, in the words of the step that failed."""
    for name, message in summary["errors"].items():
        return StepFailedError(name, message)
    unfinished = [name for name, state in summary["states"].items() if state == "running"]
    return RunError(
        f"The run {summary['run_id']} did not finish",
        expected="every step to succeed",
        received=f"no word from step {unfinished[0]} (killed?)" if unfinished else "no error",
        hint=f"what it printed is in {summary['log']}; run the same command again, "
        "what is whole is kept",
    )


def _print(summary: dict[str, Any], folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"run {summary['run_id']}", show_header=False)
    for name, data in summary["datasets"].items():
        counts = ", ".join(
            f"{count} {what}"
            for what, count in data["counts"].items()
            if count and "reject" not in what
        )
        table.add_row(name, f"{counts} ({data['rejects']} rejects)")
    for split, counts in (summary["splits"] or {}).items():
        table.add_row(split, ", ".join(f"{count} {what}" for what, count in counts.items()))
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
