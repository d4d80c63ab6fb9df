"""What a scoring did, as one HTML page."""

from collections import Counter
from typing import Any

from mammo_core.packaging import Package
from mammo_core.reporting import Page, Table
from mammo_core.scoring.scorer import ScoreSummary
from mammo_core.scoring.tables import read_rows

_SHOWN = 50


def score_report(package: Package, summary: ScoreSummary, source: str) -> str:
    """Return a page about a scoring: counts, the highest scores, warnings, rejects.

    Args:
        package: The model.
        summary: Of the scoring; its tables are read again.
        source: Where the images came from.
    """
    rows = read_rows(summary.out)
    point = package.rules.at(package.unit).point()
    decisions = Counter(row["decision"] for row in rows)
    page = Page("Scores", f"{package.manifest.name}, {source}")
    page.section("Result").facts(
        {
            "Model": f"{package.manifest.name} {package.model_id}",
            "Images scored": summary.scored,
            "Files rejected": summary.rejected,
            "Images with warnings": summary.warned,
            "Images of no known patient or side": summary.without_patient,
            "Operating point": point.name if point else "none in the package",
            "Probability": "of each image"
            if package.unit == "image"
            else "of the breast by both of its views; each of its images has it",
            (
                "Positive images" if package.unit == "image" else "Images of positive breasts"
            ): decisions["positive"] if point else "not decided",
        }
    )
    highest = sorted(rows, key=lambda row: (-row["malignant_probability"], row["id"]))[:_SHOWN]
    names = ("path", "laterality", "view", "malignant_probability", "decision", "warnings")
    page.section("Highest probabilities").table(Table.from_records(highest, names))
    _counted(page, "Warnings", _warnings(rows), "No image had a warning.")
    rejects = read_rows(summary.rejects)
    page.section("Rejects")
    if rejects:
        page.table(Table.from_records(rejects, limit=_SHOWN))
    else:
        page.text("No file was rejected.")
    return page.html()


def _warnings(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(one for row in rows for one in row["warnings"].split("; ") if one)


def _counted(page: Page, heading: str, counts: Counter[str], none: str) -> None:
    page.section(heading)
    if not counts:
        page.text(none)
        return
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    page.table(Table.from_records([{"warning": what, "images": count} for what, count in ordered]))
