"""The report of a scoring run, as one HTML page."""

from collections import Counter
from typing import Any

from mammo_core.packaging import Package
from mammo_core.reporting import Page, Table
from mammo_core.scoring.results import ScoreSummary
from mammo_core.scoring.tables import read_rows

_MAX_ROWS = 50


def score_report(package: Package, summary: ScoreSummary, source: str) -> str:
    """Return the report of a scoring run: counts, the highest scores, warnings, rejects.

    Args:
        package: The model.
        summary: The summary of the run; its tables are read again.
        source: URI of the images.
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
            "Images unlike training images, without a decision": summary.unlike,
            "Images without patient or laterality": summary.without_patient,
            "Operating point": point.name if point else "none in the package",
            "Probability": "of each image"
            if package.unit == "image"
            else "of the breast, from both of its views; all images of a breast have the same",
            (
                "Positive images" if package.unit == "image" else "Images of positive breasts"
            ): decisions["positive"] if point else "not decided",
        }
    )
    highest = sorted(rows, key=lambda row: (-row["malignant_probability"], row["id"]))[:_MAX_ROWS]
    names = ("path", "laterality", "view", "malignant_probability", "decision", "warnings")
    page.section("Highest probabilities").table(Table.from_records(highest, names))
    _add_counts(page, "Warnings", _warnings(rows), "No image had a warning.")
    rejects = read_rows(summary.rejects)
    page.section("Rejects")
    if rejects:
        page.table(Table.from_records(rejects, limit=_MAX_ROWS))
    else:
        page.text("No file was rejected.")
    return page.html()


def _warnings(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(warning for row in rows for warning in row["warnings"].split("; ") if warning)


def _add_counts(page: Page, heading: str, counts: Counter[str], empty_text: str) -> None:
    page.section(heading)
    if not counts:
        page.text(empty_text)
        return
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    page.table(
        Table.from_records([{"warning": warning, "images": count} for warning, count in ordered])
    )
