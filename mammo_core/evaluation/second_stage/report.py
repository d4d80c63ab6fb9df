"""The report of the second stage, as one HTML page."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mammo_core.evaluation.report import wording
from mammo_core.evaluation.second_stage.forest import ForestConfig
from mammo_core.evaluation.second_stage.regions import RegionConfig
from mammo_core.metrics import DeLongInterval, Interval, RocCurve
from mammo_core.reporting import Page, Table, roc_plot


class SecondStageConfig(BaseModel):
    """The second stage: a forest over the regions of heatmaps.

    Attributes:
        features: Which regions are described.
        forest: How the forest is fitted.
        fit_on: Splits whose breasts it is fitted on; never test. The patch classifier has
            seen the training images, so their heatmaps are surer than those of others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: RegionConfig = RegionConfig()
    forest: ForestConfig = ForestConfig()
    fit_on: tuple[Literal["train", "validation"], ...] = Field(
        default=("train", "validation"), min_length=1
    )


class RegionResult(BaseModel):
    """What the second stage gave, per breast.

    Attributes:
        cross_validation: AUC in cross-validation by patient.
        auc: On the test set; None with one class or too few patients.
        auc_delong: The same, interval by DeLong.
        roc: On the test set.
        max_depth: Chosen in cross-validation.
        least_split: Chosen in cross-validation.
        tried: (max_depth, least_split, AUC) of everything tried.
        importance: The most important features with their share.
        n_fitted: Breasts it was fitted on.
        n_fitted_malignant: Malignant ones.
        n_test: Breasts of the test set.
        n_test_malignant: Malignant ones.
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
        result: What it gave.
        title: Of the page.
        facts: Where it comes from, name and value.

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
    held_out = result.cross_validation
    numbers = {
        "AUC in cross-validation": (
            held_out.value,
            f"{held_out.low:.3f}–{held_out.high:.3f}, by patient",
        )
    }
    if result.auc is not None:
        numbers["AUC on the test set"] = (
            result.auc.value,
            f"95 % interval {result.auc.low:.3f}–{result.auc.high:.3f}",
        )
    page.numbers(numbers)
    if result.roc is None:
        page.warning("No AUC on the test set: its breasts are of one class, or too few.")
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
    page.section("What was tried", "The best in cross-validation was fitted on all breasts.")
    page.table(
        Table(
            ("greatest depth", "least share of breasts in a split", "AUC in cross-validation"),
            result.tried,
        )
    )
    page.section("What it looks at", "The most important features, with their share of the whole.")
    page.table(Table(("feature", "share"), result.importance))
    page.section("Where this comes from").facts(facts)
    page.section("How to read this").facts(
        {name: wording.GLOSSARY[name] for name in ("AUC", "95 % interval")}
    )
    return page.html()
