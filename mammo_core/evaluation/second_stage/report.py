"""The second stage: its configuration, its result, and the report as one HTML page."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from mammo_core.evaluation.report import wording
from mammo_core.metrics import DeLongInterval, Interval, RocCurve
from mammo_core.reporting import Page, Table, roc_plot


class RegionResult(BaseModel):
    """The performance of the second stage, per breast.

    Attributes:
        cross_validation: AUC in cross-validation by patient.
        auc: AUC on the test set; None with one class or too few patients.
        auc_delong: The same with DeLong's interval.
        roc: ROC curve on the test set.
        max_depth: Chosen in cross-validation.
        least_split: Chosen in cross-validation.
        tried: (max_depth, least_split, AUC) of each combination tried.
        importance: The most important features with their share.
        n_fitted: Number of breasts it was fitted on.
        n_fitted_malignant: Number of malignant ones.
        n_test: Number of breasts of the test set.
        n_test_malignant: Number of malignant ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cross_validation: Interval
    auc: Interval | None
    auc_delong: DeLongInterval | None
    roc: RocCurve | None
    max_depth: int
    least_split: float
    tried: tuple[tuple[int, float, float], ...]
    importance: tuple[tuple[str, float], ...]
    n_fitted: int
    n_fitted_malignant: int
    n_test: int
    n_test_malignant: int


def region_report(result: RegionResult, *, title: str, facts: Mapping[str, Any]) -> str:
    """Return the report of the second stage.

    Args:
        result: The result to report.
        title: Title of the page.
        facts: Provenance, as name and value.

    Returns:
        HTML that needs no network and no other file.
    """
    page = Page(title, "A random forest over the hot regions of both views' heatmaps")
    page.section(
        "Per breast",
        f"Fitted on {result.n_fitted:,} breasts ({result.n_fitted_malignant:,} malignant), tested "
        f"on {result.n_test:,} ({result.n_test_malignant:,} malignant). Intervals: 95 %, bootstrap "
        "by patient.",
    )
    interval = result.cross_validation
    numbers = {
        "AUC in cross-validation": (
            interval.value,
            f"{interval.low:.3f}–{interval.high:.3f}, by patient",
        )
    }
    if result.auc is not None:
        numbers["AUC on the test set"] = (
            result.auc.value,
            f"95 % interval {result.auc.low:.3f}–{result.auc.high:.3f}",
        )
    page.numbers(numbers)
    if result.roc is None:
        page.warning("No AUC on the test set: its breasts are of one class, or there are too few.")
    else:
        page.figure(
            roc_plot(
                result.roc.false_positive_rate,
                result.roc.true_positive_rate,
                label=f"AUC {result.auc}",
            ),
            "Per breast, test set",
            wide=False,
        )
    page.section(
        "Choice of parameters",
        "The best combination in cross-validation was fitted on all breasts.",
    )
    page.table(
        Table(
            ("greatest depth", "least share of breasts in a split", "AUC in cross-validation"),
            result.tried,
        )
    )
    page.section(
        "Feature importance", "The most important features, with their share of the total."
    )
    page.table(Table(("feature", "share"), result.importance))
    page.section("Where this comes from").facts(facts)
    page.section("How to read this").facts(wording.auc_glossary())
    return page.html()
