"""Read the rows of a table of your own, and find every problem in them.

Every cell is validated, and rows against each other, before an image is opened. A message names
line and column and never quotes a cell, which may contain a patient id that slipped into another
column.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from mammo_core.sources.adapters.table.cells import COLUMNS
from mammo_core.sources.adapters.table.layout import TableLayout, find_layout
from mammo_core.sources.adapters.table.lesions import LesionColumn, read_lesions
from mammo_core.sources.adapters.table.options import TableMapping
from mammo_core.sources.adapters.table.values import ValueColumn, read_values
from mammo_core.sources.identity.patients import contains_patient_id, similar_id
from mammo_core.sources.tables.csv_table import LONG_ROW
from mammo_core.sources.tables.text_table import TextTable, read_text_table

#: Lines that a warning lists.
_LISTED = 10
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True)
class TableRows:
    """The rows of a table.

    Args:
        table: The table.
        layout: Where it has what.
        values: Our name → its values.
        lesions: The lesions of each row.
        valid: (rows,) bool: whether every cell of the row can be read.
    """

    table: TextTable
    layout: TableLayout
    values: dict[str, ValueColumn]
    lesions: LesionColumn
    valid: Mask

    def valid_rows(self) -> Indices:
        """Return the rows whose every cell can be read."""
        return np.flatnonzero(self.valid)

    def line(self, row: SupportsIndex) -> int:
        """Return the line of a row."""
        return int(self.table.lines[row])


def read_rows(uri: str, options: TableMapping) -> tuple[TableRows, list[Problem]]:
    """Read a table, and return its rows and every problem.

    Args:
        uri: The table.
        options: How it is read.

    Raises:
        SourceError: It cannot be read as a table, or a column is missing or there twice.
    """
    from mammo_core.sources.adapters.table.contradictions import find_contradictions

    name = uri.rstrip("/").rpartition("/")[2]
    table = read_text_table(
        uri,
        lambda header: find_layout(name, header, options).columns(),
        encoding=options.encoding,
        sheet=options.sheet,
    )
    layout = find_layout(name, table.columns, options)
    values = read_values(table, layout, options)
    lesions = read_lesions(values, len(table.lines), options.boxes)
    valid = np.ones(len(table.lines), np.bool_)
    for column in values.values():
        valid &= column.codes >= 0
    rows = TableRows(table, layout, values, lesions, valid)
    problems = [
        Problem(1, column, f"Unknown column. Expected {', '.join(COLUMNS)}. Remove it, or list it "
                "in source.table.ignore.")
        for column in layout.unknown
    ]  # fmt: skip
    width = len(table.columns)
    for fault in table.faults:
        text = f"Expected {width} cells, as in the header. Received {fault.count}."
        problems.append(Problem(fault.line, "", text if fault.count else LONG_ROW))
    problems += _cell_problems(rows)
    problems += _row_problems(rows)
    problems += find_contradictions(rows)
    if not options.patient_ids_in_paths:
        problems += _ids_in_paths(rows)
    if not table.rows:
        problems.append(Problem(1, "", "Expected at least one row below the header. Received 0."))
    return rows, problems


def _cell_problems(rows: TableRows) -> Iterator[Problem]:
    for name, column in rows.values.items():
        title = rows.layout.title(name)
        for row in np.flatnonzero(column.faults >= 0):
            yield Problem(rows.line(row), title, column.messages[column.faults[row]])


def _row_problems(rows: TableRows) -> Iterator[Problem]:
    """Yield where the cells of a row contradict each other."""
    values, valid = rows.values, rows.valid
    title = rows.layout.title
    sides = {None: 0, "LEFT": 1, "RIGHT": 2}
    of_view = values["view"].map(lambda view: sides[view.laterality], np.int8)
    stated = values["laterality"].map(sides.__getitem__, np.int8)
    for row in np.flatnonzero(valid & (of_view != 0) & (of_view != stated)):
        side = "LEFT" if stated[row] == 1 else "RIGHT"
        text = f"Expected a view of the {side} breast. Received another."
        yield Problem(rows.line(row), title("view"), text)
    has_fault = np.array([bool(item.faults) for item in rows.lesions.items], np.bool_)
    for row in np.flatnonzero(valid & has_fault[rows.lesions.codes]):
        for name, text in rows.lesions.items[rows.lesions.codes[row]].faults:
            yield Problem(rows.line(row), title(name), text)
    malignant = np.array([item.malignant for item in rows.lesions.items], np.bool_)
    benign = values["label"].map(lambda label: label == 0)
    for row in np.flatnonzero(valid & benign & malignant[rows.lesions.codes]):
        text = "Expected malignant, like the lesion's pathology. Received benign."
        yield Problem(rows.line(row), title("label"), text)


def similar_patients(rows: TableRows) -> list[dict[str, str]]:
    """Return a warning for each group of patient ids that are nearly equal; no id is quoted.

    Args:
        rows: The rows.
    """
    patients = rows.values["patient_id"]
    groups: dict[str, list[int]] = defaultdict(list)
    for code, patient in enumerate(patients.items):
        groups[similar_id(patient)].append(code)
    several = {tuple(codes) for codes in groups.values() if len(codes) > 1}
    if not several:
        return []
    at = rows.valid_rows()
    codes, first = np.unique(patients.codes[at], return_index=True)
    line_of = {int(c): rows.line(at[f]) for c, f in zip(codes, first, strict=True)}
    warnings = []
    for group in sorted(several):
        lines = sorted(line_of[code] for code in group if code in line_of)
        if len(lines) > 1:
            warnings.append(_similar(lines))
    return warnings


def _similar(lines: list[int]) -> dict[str, str]:
    return {
        "code": "similar_ids",
        "message": "Patient ids differ only in case or padding zeros, and count as different "
        f"patients: lines {', '.join(map(str, lines[:_LISTED]))}. Expected "
        "one spelling for each patient.",
    }


def _ids_in_paths(rows: TableRows) -> Iterator[Problem]:
    text = (
        "The path contains the patient id. Expected names without it, as paths are written "
        "into tables and messages. Rename the file, or allow it with "
        "source.table.patient_ids_in_paths (--patient-ids-in-paths)."
    )
    patients = rows.values["patient_id"]
    for name, paths in (
        ("image_path", rows.values["image_path"]),
        ("lesion_mask", _mask_paths(rows)),
    ):
        title = rows.layout.title(name)
        at = rows.valid_rows()
        pairs = patients.codes[at].astype(np.int64) * (len(paths.items) + 1) + paths.codes[at]
        _, first, inverse = np.unique(pairs, return_index=True, return_inverse=True)
        contains = np.zeros(len(first), np.bool_)
        for number, row in enumerate(at[first]):
            patient = patients.items[patients.codes[row]]
            for path in paths.items[paths.codes[row]] if name == "lesion_mask" else (
                paths.items[paths.codes[row]],
            ):  # fmt: skip
                contains[number] |= contains_patient_id(path, patient)
        for row in at[contains[inverse]]:
            yield Problem(rows.line(row), title, text)


def _mask_paths(rows: TableRows) -> Any:
    lesions = rows.lesions
    none = np.full(len(lesions.codes), -1, np.int32)
    return ValueColumn([item.masks for item in lesions.items], lesions.codes, none, [])
