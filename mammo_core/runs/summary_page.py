"""The summary of a run as a page, which the last task of a pipeline shows."""

from collections.abc import Mapping
from typing import Any

from mammo_core.reporting import Page, Table


def summary_page(summary: Mapping[str, Any]) -> str:
    """Return the summary of a run as an HTML page.

    Args:
        summary: What `summarize` returned.
    """
    page = Page(
        f"Run {summary['run_id']}", f"{summary['recipe'] or 'No recipe'}: {summary['state']}."
    )
    for step, message in summary["errors"].items():
        page.warning(f"{step}: {message}")
    _add_results(page, summary)
    if summary["datasets"]:
        page.section("Data").table(
            Table(
                ("output", "counts", "rejects", "reused", "id"),
                tuple(
                    (
                        name,
                        _counts(data["counts"]),
                        data["rejects"],
                        _yes(data["reused"]),
                        data["id"],
                    )
                    for name, data in summary["datasets"].items()
                ),
            )
        )
    if summary["splits"]:
        page.table(
            Table.from_records(
                {"split": name, **counts} for name, counts in summary["splits"].items()
            )
        )
    if summary["states"]:
        page.section("Steps").table(
            Table(
                ("step", "state", "seconds", "reused"),
                tuple(
                    (step, state, summary["seconds"][step], _yes(summary["reused"][step]))
                    for step, state in summary["states"].items()
                ),
            )
        )
    return page.html()


def _add_results(page: Page, summary: Mapping[str, Any]) -> None:
    if summary["auc"] is not None:
        low, high = summary["auc_ci95"]
        page.section("Result").numbers(
            {
                "Test AUC": (f"{summary['auc']:.4f}", f"95 % interval {low:.3f} to {high:.3f}"),
                "Patch accuracy": (f"{summary['patch_accuracy']:.4f}", "on the test split"),
                "Test images": (
                    summary["n_test_images"],
                    f"of {summary['n_test_patients']} patients",
                ),
            }
        )
    facts = {"Model": summary["model_uri"], "Report": summary["report"]}
    gate = summary["gate"]
    if gate is not None:
        verdict = "passed" if gate["passed"] else "not passed"
        facts = {"Gate": f"{verdict}: {'; '.join(gate['reasons'])}", **facts}
    known = {name: value for name, value in facts.items() if value}
    if known:
        page.facts(known)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {unit.replace('_', ' ')}" for unit, count in counts.items() if count)


def _yes(value: bool) -> str:
    return "yes" if value else ""
