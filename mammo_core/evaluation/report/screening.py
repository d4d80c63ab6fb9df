"""The section of a report on what the model would do in screening."""

from mammo_core.evaluation.screening import Screening
from mammo_core.metrics import Interval
from mammo_core.reporting import Page, Table, decision_curve_plot


def screening(page: Page, result: Screening) -> None:
    """Add what the model would do in screening.

    Args:
        page: The report.
        result: The numbers.
    """
    config = result.config
    counted = "taken as exact" if config.exams is None else f"counted in {config.exams:,} exams"
    page.section(
        "In screening",
        f"Per exam ({result.n_exams:,}, {result.n_malignant:,} with a cancer), at a prevalence of "
        f"{1000 * config.prevalence:g} in 1,000 ({counted}). Thresholds were chosen on validation. "
        "Sensitivity and specificity come from the test set: if its cancers are easier or its "
        "other exams harder than those of screening, so will be these numbers.",
    )
    page.table(
        Table.from_records(
            [
                {
                    "threshold by": point.name,
                    "sensitivity": str(point.rates.sensitivity)
                    + (
                        ""
                        if point.reader_sensitivity is None
                        else f"; the reader's {point.reader_sensitivity:.3f}"
                    ),
                    "specificity": str(point.rates.specificity),
                    "recall rate": str(point.rates.recall_rate),
                    "PPV": _text(point.rates.ppv),
                    "NPV": _text(point.rates.npv, 5),
                    "detected per 1,000": _text(point.rates.detected, 2),
                    "missed per 1,000": _text(point.rates.missed, 2),
                    "false alarms per 1,000": _text(point.rates.false_alarms, 0),
                }
                for point in result.points
            ]
        )
    )
    curve = result.decision_curve
    page.figure(
        decision_curve_plot(
            curve.thresholds,
            {"by the model": curve.model, "recalling everyone": curve.everyone},
            config.prevalence,
        ),
        "Net benefit: cancers detected per 1,000 exams, less the false alarms weighted by the odds "
        "of the probability from which one would recall",
        wide=False,
    )


def _text(value: Interval | None, decimals: int = 3) -> str:
    if value is None:
        return "–"
    return f"{value.value:.{decimals}f} ({value.low:.{decimals}f}–{value.high:.{decimals}f})"
