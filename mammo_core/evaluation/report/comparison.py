"""The report of a comparison of two models on the same test set, as one HTML page."""

from collections.abc import Iterable, Mapping
from typing import Any

from mammo_core.evaluation.comparison import ComparisonResult, LevelComparison
from mammo_core.evaluation.report import wording
from mammo_core.evaluation.report.sections import DIAGONAL
from mammo_core.reporting import Page, Table, curves_plot, forest_plot


def comparison_report(
    result: ComparisonResult,
    *,
    title: str = "",
    facts: Mapping[str, Any] | None = None,
    reasons: Iterable[str] = (),
) -> str:
    """Return the report of a comparison.

    Args:
        result: From `compare`.
        title: Title of the page; default: the names of the two.
        facts: Shown as name and value: model ids, frame, …
        reasons: A decision and its reasons, for instance of the gate.

    Returns:
        HTML that needs no network and no other file.
    """
    page = Page(
        title or f"{result.name} against {result.reference}",
        "Two whole-image classifiers on the same test set",
    )
    first = result.levels[0]
    plural = wording.PLURAL[first.level]
    page.section("In short").text(verdict(first, result.name, result.reference))
    for reason in reasons:
        page.text(reason)
    if first.warning:
        page.warning(
            f"Few patients to compare on ({first.warning}): only large differences can be shown."
        )
    page.numbers(
        {
            f"AUC of {result.name}": (first.auc.value, _ends(first.auc)),
            f"AUC of {result.reference}": (
                first.reference_auc.value,
                _ends(first.reference_auc),
            ),
            "Difference": (f"{first.difference.value:+.3f}", _ends(first.difference, "+")),
        }
    )
    page.section(
        "Metrics",
        "Intervals: 95 %, bootstrap by patient, both models on the same draws; p value: DeLong's "
        "paired test by patient.",
    )
    page.table(Table.from_records(_rows(result)))
    page.figure(
        curves_plot(
            {
                f"{result.name}: AUC {first.auc}": (
                    first.roc.false_positive_rate,
                    first.roc.true_positive_rate,
                ),
                f"{result.reference}: AUC {first.reference_auc}": (
                    first.reference_roc.false_positive_rate,
                    first.reference_roc.true_positive_rate,
                ),
            },
            title="ROC curves",
            x="1 − specificity",
            y="Sensitivity",
            chance=DIAGONAL,
        ),
        f"Per {first.level}, test set",
        wide=False,
    )
    page.figure(
        forest_plot(
            [(f"per {level.level}", *_numbers(level)) for level in result.levels],
            title="Difference of AUC",
            x=f"{result.name} minus {result.reference}, 95 % interval",
            reference=0.0,
        ),
        "Right of the dotted line the first is better; an interval that crosses the line shows "
        "no difference",
    )
    if result.correlation is not None:
        page.text(
            f"The two rank the {plural} with a correlation of {result.correlation:.2f} (Spearman)."
        )
    if facts:
        page.section("Where this comes from").facts(facts)
    page.section("How to read this").facts(wording.auc_glossary())
    return page.html()


def decision_report(title: str, reasons: Iterable[str], facts: Mapping[str, Any]) -> str:
    """Return the report of a decision that was made without a comparison.

    Args:
        title: Title of the page.
        reasons: The decision and its reasons.
        facts: Shown as name and value.

    Returns:
        HTML that needs no network and no other file.
    """
    page = Page(title, "No comparison with another classifier").section("In short")
    for reason in reasons:
        page.text(reason)
    return page.section("Where this comes from").facts(facts).html()


def verdict(level: LevelComparison, name: str, reference: str) -> str:
    """Return a sentence about what a comparison shows."""
    sentence = (
        f"AUC {level.auc.value:.3f} against {level.reference_auc.value:.3f} on {level.n:,} "
        f"{wording.PLURAL[level.level]} of {level.n_patients:,} patients: difference "
        f"{level.difference.value:+.3f}, 95 % interval {level.difference.low:+.3f} to "
        f"{level.difference.high:+.3f}."
    )
    if level.difference.low > 0:
        return f"{sentence} {name} ranks better than {reference}."
    if level.difference.high < 0:
        return f"{sentence} {name} ranks worse than {reference}."
    return f"{sentence} No difference is shown, which does not prove that there is none."


def _rows(result: ComparisonResult) -> list[dict[str, Any]]:
    return [
        {
            "per": level.level,
            "number": level.n,
            "malignant": level.n_malignant,
            "patients": level.n_patients,
            f"AUC of {result.name}": str(level.auc),
            f"AUC of {result.reference}": str(level.reference_auc),
            "difference": f"{level.difference.value:+.3f} ({_ends(level.difference, '+')})",
            "p value": "–" if level.delong is None else _p_value(level.delong.p_value),
        }
        for level in result.levels
    ]


def _p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _numbers(level: LevelComparison) -> tuple[float, float, float]:
    return level.difference.value, level.difference.low, level.difference.high


def _ends(interval: Any, sign: str = "") -> str:
    return f"{interval.low:{sign}.3f} to {interval.high:{sign}.3f}"
