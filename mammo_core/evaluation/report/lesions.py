"""The section of a report on how well heatmaps find the annotated lesions."""

from mammo_core.evaluation.localization.measure import Curve, Localization
from mammo_core.metrics import Interval
from mammo_core.reporting import Page, Table, froc_plot

_TARGETS = {"malignant": "malignant lesions", "lesion": "all lesions"}
_MATCHINGS = {"center": "by center", "overlap": "by overlap"}


def lesions(page: Page, result: Localization) -> None:
    """Add how well the marks of heatmaps find lesions.

    Args:
        page: The report.
        result: The measures.
    """
    page.section(
        "Finding the lesions",
        f"Marks are the places where the heatmap of a test view is locally highest "
        f"({result.n_marks:,} in {result.n_views:,} views). By center: the mark lies in the "
        "annotated lesion. By overlap: its region shares half of the smaller one of the two.",
    )
    numbers = {}
    for target, share in result.pointing.items():
        numbers[f"Hottest point in {_TARGETS[target]}"] = (
            share.value,
            f"{share.low:.3f}–{share.high:.3f}, {result.n_pointing[target]:,} views",
        )
    if result.inside_breast is not None:
        numbers["Marks inside the breast"] = (result.inside_breast, "of all marks")
    if numbers:
        page.numbers(numbers)
    if not result.curves:
        page.text("Too few annotated lesions for a free-response curve.")
        return
    page.figure(
        froc_plot(
            {
                f"{_TARGETS[curve.target]}, {_MATCHINGS[curve.matching]}": (
                    curve.false_marks,
                    curve.sensitivity,
                )
                for curve in result.curves
            }
        ),
        "Share of the lesions marked, against false marks per image",
        wide=False,
    )
    page.table(Table.from_records([_row(curve) for curve in result.curves]))
    rows: dict[str, dict[str, object]] = {}
    for curve in result.curves:
        for name, (number, marked) in curve.groups.items():
            title = f"{_TARGETS[curve.target]}, {name}"
            row = rows.setdefault(title, {"lesions": title, "number": number})
            row[f"marked {_MATCHINGS[curve.matching]}"] = _text(marked)
    if rows:
        page.text("By type and size: the share marked at one false mark per image.")
        page.table(Table.from_records(rows.values()))


def _row(curve: Curve) -> dict[str, object]:
    counted = "images without one" if curve.counted == "normal" else "all images"
    return {
        "to find": f"{_TARGETS[curve.target]}, {_MATCHINGS[curve.matching]}",
        "lesions": f"{curve.n_lesions:,}, {curve.n_marked:,} marked",
        "false marks on": f"{curve.n_images:,} {counted}",
        **{f"at {rate:g} per image": str(share) for rate, share in curve.at_rates.items()},
        "figure of merit (JAFROC)": str(curve.figure_of_merit),
    }


def _text(share: Interval | None) -> str:
    return "–" if share is None else str(share)
