"""The results of a scoring run: its tables and its summary."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammo_core.scoring import tables
from mammo_core.scoring.journal import Journal
from mammo_core.scoring.levels import breast_rows, number_patients, patient_rows
from mammo_core.scoring.model import ScoringModel


@dataclass(frozen=True)
class ScoreSummary:
    """The summary of a scoring run.

    Attributes:
        files: Number of files.
        scored: Rows of the scores.
        rejected: Rows of the rejects.
        warned: Images with a warning.
        unlike: Images whose gray levels are unlike training images.
        without_patient: Images without patient or laterality: in no breast and no patient.
        resumed: Files that an earlier, interrupted run had completed.
        seconds: Duration.
        out: The scores per image; in JSON, also per breast and patient.
        rejects: The rejects.
        written: Every file written, except heatmaps.
        no_decision: Why nothing has a decision (docs/scoring.md lists the codes), or empty.
    """

    files: int
    scored: int
    rejected: int
    warned: int
    unlike: int
    without_patient: int
    resumed: int
    seconds: float
    out: Path
    rejects: Path
    written: tuple[Path, ...]
    no_decision: str = ""

    @property
    def images_per_s(self) -> float:
        """Files per second, including rejects."""
        return (self.files - self.resumed) / self.seconds if self.seconds > 0 else 0.0


def rejects_path(out: Path) -> Path:
    """Return the path of the rejects of a table of scores: `scores.rejects.csv`."""
    return tables.sibling_table(out, "rejects", ".csv")


def output_files(out: Path) -> list[Path]:
    """Return every file that a run with the output `out` may write, none of which is an input."""
    names = ("breasts", "patients", "regions")
    return [out, rejects_path(out), *(tables.sibling_table(out, name) for name in names)]


def write_results(
    out: Path, model: ScoringModel, journal: Journal, numbered: bool, explain: bool
) -> tuple[Counter[str], list[Path]]:
    """Write the tables from a journal.

    Args:
        out: The `.csv`, `.json` or `.parquet` with the scores per image.
        model: The model.
        journal: The completed journal.
        numbered: Whether keys of patients are replaced by numbers.
        explain: Whether regions are written.

    Returns:
        Counts of rows (`images`, `warned`, `unlike`, `without_patient`, `rejects`), and the files.

    Raises:
        OSError: The disk failed.
    """
    numbers: dict[str, dict[str, str]] = {}
    counts: Counter[str] = Counter()
    site_columns = tables.SITE_COLUMNS if model.site is not None else ()
    image_columns = (*tables.IMAGE_COLUMNS, *site_columns)

    def images() -> Iterator[dict[str, Any]]:
        for batch in journal.batches():
            rows = batch["rows"]
            yield from number_patients(rows, numbers) if numbered else rows

    def counted_images() -> Iterator[Mapping[str, Any]]:
        for row in images():
            counts["images"] += 1
            counts["warned"] += bool(row["warnings"])
            counts["unlike"] += bool(row["unlike_training"])
            counts["without_patient"] += not (row["patient"] and row["laterality"])
            yield {name: row[name] for name in image_columns}

    def rejects() -> Iterator[Mapping[str, Any]]:
        for batch in journal.batches():
            for name, reason in batch["rejects"]:
                counts["rejects"] += 1
                yield {"path": name, "reason": reason}

    def regions() -> Iterator[Mapping[str, Any]]:
        for batch in journal.batches():
            for row in batch["regions"]:
                yield {name: row[name] for name in tables.REGION_COLUMNS}

    # The rejects come first, so that new scores never lack their rejects.
    written = [rejects_path(out)]
    tables.write_table(written[0], tables.REJECT_COLUMNS, rejects())
    breasts, patients = breast_rows(model, images()), patient_rows(model, images())
    if tables.format_of(out) == ".json":
        content: dict[str, Iterable[Mapping[str, Any]]] = {
            "images": counted_images(),
            "breasts": breasts,
            "patients": patients,
        }
        if explain:
            content["regions"] = regions()
        tables.write_json(out, {"model": model.describe()}, content)
        return counts, [out, *written]
    further: list[tuple[str, tuple[str, ...], Iterable[Mapping[str, Any]]]] = [
        ("breasts", (*tables.BREAST_COLUMNS, *site_columns), breasts),
        ("patients", (*tables.PATIENT_COLUMNS, *site_columns), patients),
    ]
    if explain:
        further.append(("regions", tables.REGION_COLUMNS, regions()))
    for name, columns, rows in further:
        written.append(tables.sibling_table(out, name))
        tables.write_table(written[-1], columns, rows)
    tables.write_table(out, image_columns, counted_images())
    return counts, [out, *written]
