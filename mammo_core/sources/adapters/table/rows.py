"""Read the rows of a CSV of your own, and find every problem in them.

Every row is validated against a schema, and rows against each other, before an image is opened.
A message names line and column and never quotes a cell, which may contain a patient id that
slipped into another column.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from mammo_core.errors import SourceError
from mammo_core.sources.adapters.table.row import ALIASES, COLUMNS, REQUIRED, TableRow, read_row
from mammo_core.sources.identity.patients import contains_patient_id, similar_id
from mammo_core.sources.tables.csv_table import LONG_ROW, CsvTable

#: Columns on which all rows of an image agree.
_SHARED: Final = (
    "patient_id", "laterality", "view", "label", "breast_density", "split", "exam_id", "exam_date",
    "pathology_date",
)  # fmt: skip
#: Lines that a warning lists.
_LISTED: Final = 10


@dataclass(frozen=True)
class Problem:
    """Something wrong with a table.

    Args:
        line: Line of the file, 1 is the header.
        column: Column, or columns; empty if it concerns the whole line.
        problem: What is wrong, what was expected, what was received.
    """

    line: int
    column: str
    problem: str


def read_rows(
    table: CsvTable, patient_ids_in_paths: bool
) -> tuple[list[tuple[int, TableRow]], list[Problem]]:
    """Return the valid rows with their lines, and every problem.

    Args:
        table: The CSV file.
        patient_ids_in_paths: Whether paths may contain the patient id.

    Raises:
        SourceError: A column is missing or there twice.
    """
    positions = column_positions(table)
    rows: list[tuple[int, TableRow]] = []
    problems: list[Problem] = []
    for column in table.columns:
        if _column_name(column) not in COLUMNS:
            problems.append(
                Problem(1, column, f"Unknown column. Expected {', '.join(COLUMNS)}. Remove it.")
            )
    for line, cells in table.rows:
        if len(cells) != len(table.columns):
            problem = (
                f"Expected {len(table.columns)} cells, as in the header. Received {len(cells)}."
            )
            problems.append(Problem(line, "", problem if cells else LONG_ROW))
            continue
        row, faults = read_row({name: cells[at] for name, at in positions.items()})
        problems += [Problem(line, column, text) for column, text in faults]
        if row is not None:
            rows.append((line, row))
    problems += _contradictions(rows)
    if not patient_ids_in_paths:
        problems += _ids_in_paths(rows)
    if not table.rows:
        problems.append(Problem(1, "", "Expected at least one row below the header. Received 0."))
    return rows, problems


def column_positions(table: CsvTable) -> dict[str, int]:
    """Return the position of each column that is read.

    Args:
        table: The CSV file.

    Raises:
        SourceError: A column is missing or there twice.
    """
    positions: dict[str, int] = {}
    for at, column in enumerate(table.columns):
        name = _column_name(column)
        if name in positions:
            raise SourceError(
                f"The table {table.name} has a column twice",
                expected="each column once",
                received=f"{table.columns[positions[name]]} and {column}",
            )
        positions[name] = at
    missing = [name for name in REQUIRED if name not in positions]
    if missing:
        raise SourceError(
            f"The table {table.name} has no column {', '.join(missing)} (line 1)",
            expected=", ".join(REQUIRED),
            received=f"{len(table.columns)} columns, of which these are known: "
            + (", ".join(name for name in COLUMNS if name in positions) or "none"),
        )
    return {name: at for name, at in positions.items() if name in COLUMNS}


def _column_name(column: str) -> str:
    name = "_".join(column.lower().replace("-", " ").replace("_", " ").split())
    return ALIASES.get(name, name)


def _contradictions(rows: list[tuple[int, TableRow]]) -> list[Problem]:
    """Return where rows contradict each other."""
    problems: list[Problem] = []
    first_rows: dict[str, tuple[int, TableRow]] = {}
    lesions: dict[tuple[str, ...], int] = {}
    splits: dict[str, tuple[int, str]] = {}
    for line, row in rows:
        first_line, first = first_rows.setdefault(row.image_path, (line, row))
        for name in _SHARED:
            if getattr(row, name) != getattr(first, name):
                problem = (
                    f"Expected the same as in line {first_line}, of the same image. "
                    "Received something else."
                )
                problems.append(Problem(line, name, problem))
        lesion = (row.image_path, row.lesion_type, row.mask_path)
        if (row.mask_path or line != first_line) and lesion in lesions:
            problem = f"Expected each lesion once. Received that of line {lesions[lesion]} again."
            problems.append(Problem(line, "lesion_mask, lesion_box", problem))
        lesions.setdefault(lesion, line)
        if row.split:
            split_line, split = splits.setdefault(row.patient_id, (line, row.split))
            if split != row.split:
                problem = (
                    f"Expected every patient in one split. Received {row.split}, and {split} in "
                    f"line {split_line} for the same patient."
                )
                problems.append(Problem(line, "split", problem))
    if splits:
        problems += [
            Problem(
                line,
                "split",
                "Expected train, validation or test, as in other rows. Received nothing.",
            )
            for line, row in rows
            if not row.split
        ]
    problems += _exam_contradictions(rows)
    return problems


def _exam_contradictions(rows: list[tuple[int, TableRow]]) -> list[Problem]:
    """Return where exams are incomplete or contradict each other."""
    problems: list[Problem] = []
    if any(row.exam_id for _, row in rows):
        problems += [
            Problem(line, "exam_id", "Expected an id, as in other rows. Received nothing.")
            for line, row in rows
            if not row.exam_id
        ]
    dates: dict[tuple[str, str], tuple[int, object]] = {}
    for line, row in rows:
        if row.exam_id and row.exam_date is not None:
            key = (row.patient_id, row.exam_id)
            first_line, first = dates.setdefault(key, (line, row.exam_date))
            if first != row.exam_date:
                problem = (
                    f"Expected the date of line {first_line}, of the same exam. "
                    "Received another one."
                )
                problems.append(Problem(line, "exam_date", problem))
    return problems


def similar_patients(rows: list[tuple[int, TableRow]]) -> list[dict[str, str]]:
    """Return a warning for each group of patient ids that are nearly equal; no id is quoted.

    Args:
        rows: Valid rows with their lines.
    """
    groups: dict[str, dict[str, int]] = defaultdict(dict)
    for line, row in rows:
        groups[similar_id(row.patient_id)].setdefault(row.patient_id, line)
    return [
        {
            "code": "similar_ids",
            "message": "Patient ids differ only in case or padding zeros, and count as different "
            f"patients: lines {', '.join(map(str, list(lines.values())[:_LISTED]))}. Expected "
            "one spelling for each patient.",
        }
        for lines in groups.values()
        if len(lines) > 1
    ]


def _ids_in_paths(rows: list[tuple[int, TableRow]]) -> list[Problem]:
    return [
        Problem(
            line,
            name,
            "The path contains the patient id. Expected names without it, as paths are written "
            "into tables and messages. Rename the file, or allow it with "
            "source.table.patient_ids_in_paths (--patient-ids-in-paths).",
        )
        for line, row in rows
        for name in ("image_path", "lesion_mask")
        if contains_patient_id(getattr(row, name), row.patient_id)
    ]
