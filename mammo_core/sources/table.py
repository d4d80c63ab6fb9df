"""Your own data: one CSV file that says which image is what, read row by row.

The columns are documented in docs/sources.md. Every row is held against a schema, and rows
against each other, before an image is opened; a message names line and column, and never
quotes a cell: the cell may hold a patient id that slipped into another column.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final, Literal

from mammo_core.errors import SourceError
from mammo_core.sources.assemble import ImageCase, LesionCase, assemble, case_facts
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.csv_rows import CsvTable, read_csv
from mammo_core.sources.patients import fingerprint, holds_patient_id, patient_key, site_key
from mammo_core.sources.source_files import SourceFiles
from mammo_core.sources.source_tables import ProgressCall, Rejects, SourceTables
from mammo_core.sources.table_row import ALIASES, COLUMNS, REQUIRED, TableRow, read_row

#: What every row of an image has to say alike.
_ALIKE: Final = ("patient_id", "laterality", "view", "label", "breast_density", "split")


@dataclass(frozen=True)
class Problem:
    """Something wrong with a table.

    Args:
        line: Line of the file, 1 is the header.
        column: Column, or columns; empty when it is none of one column.
        problem: What is wrong, what was expected, what was received.
    """

    line: int
    column: str
    problem: str


@dataclass(frozen=True)
class TableCheck:
    """What a check of a table found.

    Args:
        problems: All of them, by line.
        facts: Counts of the rows that are right (JSON-able).
    """

    problems: tuple[Problem, ...]
    facts: dict[str, Any]


def index_table(
    config: SourceConfig,
    progress: ProgressCall | None = None,
    workers: int | None = None,
    files: SourceFiles | None = None,
) -> SourceTables:
    """Read a CSV of your own, and find its images and masks.

    An image that a wrong row tells of is left out, each of its rows a reject.

    Args:
        config: `tables` is the CSV file, `root` the folder its paths are relative to.
        progress: Called with what is done, how many, of how many.
        workers: Threads.
        files: The files, where something is known of them; default those of `config`.

    Returns:
        The tables; patients by their keys.

    Raises:
        SourceError: A table that cannot be used, no image, no site key.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    table = read_csv(_file(config))
    key = site_key()
    rows, problems = _rows(table, config.table.patient_ids_in_paths)
    rejects = Rejects()
    cases = _cases(table, rows, problems, rejects, key)
    facts = {"rows": len(table.rows), "site_key": fingerprint(key)}
    files = files or config.files()
    files.require_root(f"image folder {config.root}")
    return assemble(
        files,
        "table",
        cases,
        rejects,
        facts=facts,
        header_agrees=True,
        progress=progress,
        workers=workers,
    )


def check_table(
    config: SourceConfig, images: bool, progress: ProgressCall | None = None
) -> TableCheck:
    """Find every problem of a table. No site key is needed, and no patient key made.

    Args:
        config: As for `index_table`.
        images: Whether images and masks are looked at too.
        progress: Called with what is done, how many, of how many.

    Raises:
        SourceError: The file cannot be read as a table at all.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    table = read_csv(_file(config))
    rows, problems = _rows(table, config.table.patient_ids_in_paths)
    rejects = Rejects()
    # Keys of this check only: nothing is kept that could be matched with another run.
    cases = _cases(table, rows, problems, rejects, b"check")
    facts: dict[str, Any] = {"rows": len(table.rows), **case_facts(cases)}
    if images and cases:
        lines = {table.place(line): line for line, _ in rows}
        noted = len(rejects.rows)
        files = config.files()
        files.require_root(f"image folder {config.root}")
        try:
            found = assemble(
                files, "table", cases, rejects, facts={}, header_agrees=True, progress=progress
            )
            facts["files"] = found.facts["files"]
        except SourceError:
            if len(rejects.rows) == noted:
                raise
        problems += [
            Problem(lines[row["item"]], "", _without_keys(str(row["reason"]), cases))
            for row in rejects.rows[noted:]
        ]
    return TableCheck(tuple(sorted(problems, key=lambda found: (found.line, found.column))), facts)


def _without_keys(reason: str, cases: list[ImageCase]) -> str:
    """Name views by side and view only: the keys of a check mean nothing."""
    for key in sorted({case.patient_key for case in cases}):
        reason = reason.replace(f"{key}_", "")
    return reason


def _file(config: SourceConfig) -> str:
    if config.tables is None:
        raise SourceError(
            "The source `table` has no table",
            expected="source.tables: the CSV file",
            received="none",
        )
    return config.tables


def _rows(
    table: CsvTable, patient_ids_in_paths: bool
) -> tuple[list[tuple[int, TableRow]], list[Problem]]:
    """Return the rows that are right by themselves, and every problem."""
    places = _places(table)
    rows: list[tuple[int, TableRow]] = []
    problems: list[Problem] = []
    for column in table.columns:
        if _column(column) not in COLUMNS:
            problems.append(
                Problem(1, column, f"Unknown column. Expected {', '.join(COLUMNS)}. Remove it.")
            )
    for line, cells in table.rows:
        if len(cells) != len(table.columns):
            told = f"Expected {len(table.columns)} cells, as the header. Received {len(cells)}."
            problems.append(Problem(line, "", told))
            continue
        row, faults = read_row({name: cells[at] for name, at in places.items()})
        problems += [Problem(line, column, text) for column, text in faults]
        if row is not None:
            rows.append((line, row))
    problems += _between(rows)
    if not patient_ids_in_paths:
        problems += _ids_in_paths(rows)
    if not table.rows:
        problems.append(Problem(1, "", "Expected at least one row below the header. Received 0."))
    return rows, problems


def _column(told: str) -> str:
    name = "_".join(told.lower().replace("-", " ").replace("_", " ").split())
    return ALIASES.get(name, name)


def _places(table: CsvTable) -> dict[str, int]:
    places: dict[str, int] = {}
    for at, column in enumerate(table.columns):
        name = _column(column)
        if name in places:
            raise SourceError(
                f"The table {table.name} has a column twice",
                expected="each column once",
                received=f"{table.columns[places[name]]} and {column}",
            )
        places[name] = at
    missing = [name for name in REQUIRED if name not in places]
    if missing:
        raise SourceError(
            f"The table {table.name} has no column {', '.join(missing)} (line 1)",
            expected=", ".join(REQUIRED),
            received=f"{len(table.columns)} columns, of which these are known: "
            + (", ".join(name for name in COLUMNS if name in places) or "none"),
        )
    return {name: at for name, at in places.items() if name in COLUMNS}


def _between(rows: list[tuple[int, TableRow]]) -> list[Problem]:
    """Return where rows contradict each other."""
    problems: list[Problem] = []
    first: dict[str, tuple[int, TableRow]] = {}
    lesions: dict[tuple[str, ...], int] = {}
    sides: dict[str, tuple[int, str]] = {}
    for line, row in rows:
        before, other = first.setdefault(row.image_path, (line, row))
        for name in _ALIKE:
            if getattr(row, name) != getattr(other, name):
                told = f"Expected the same as in line {before}, of the same image. Received other."
                problems.append(Problem(line, name, told))
        mask = row.mask_path
        lesion = (row.image_path, row.lesion_type, mask)
        if (mask or line != before) and lesion in lesions:
            told = f"Expected each lesion once. Received that of line {lesions[lesion]} again."
            problems.append(Problem(line, "lesion_mask, lesion_box", told))
        lesions.setdefault(lesion, line)
        if row.split:
            where, side = sides.setdefault(row.patient_id, (line, row.split))
            if side != row.split:
                told = (
                    f"Expected every patient on one side. Received {row.split}, and {side} in "
                    f"line {where} for the same patient."
                )
                problems.append(Problem(line, "split", told))
    if sides:
        problems += [
            Problem(
                line,
                "split",
                "Expected train, validation or test, as in other rows. Received nothing.",
            )
            for line, row in rows
            if not row.split
        ]
    return problems


def _ids_in_paths(rows: list[tuple[int, TableRow]]) -> list[Problem]:
    return [
        Problem(
            line,
            name,
            "The path holds the patient id. Expected names without it, as paths are written into "
            "tables and messages. Rename the file, or allow it with "
            "source.table.patient_ids_in_paths (--patient-ids-in-paths).",
        )
        for line, row in rows
        for name in ("image_path", "lesion_mask")
        if holds_patient_id(getattr(row, name), row.patient_id)
    ]


def _cases(
    table: CsvTable,
    rows: list[tuple[int, TableRow]],
    problems: list[Problem],
    rejects: Rejects,
    key: bytes,
) -> list[ImageCase]:
    """Return the images all of whose rows are right; the rows of others are rejects."""
    wrong = {problem.line: problem for problem in reversed(problems) if problem.line > 1}
    of_image: dict[str, list[tuple[int, TableRow]]] = defaultdict(list)
    for line, row in rows:
        of_image[row.image_path].append((line, row))
    read = {line for line, _ in rows}
    reasons = {
        line: f"{problem.column}: {problem.problem}".removeprefix(": ")
        for line, problem in wrong.items()
    }
    # A row that could not be read still says which image it is of, if its path is right.
    at = _places(table)["image_path"]
    for line, cells in table.rows:
        if line not in read and at < len(cells) and cells[at] in of_image:
            for other, _ in of_image[cells[at]]:
                reasons.setdefault(other, f"Line {line}, of the same image, is wrong.")
    cases: list[ImageCase] = []
    for own in of_image.values():
        faulty = [line for line, _ in own if line in reasons]
        for line, _ in own if faulty else ():
            reasons.setdefault(line, f"Line {faulty[0]}, of the same image, is wrong.")
        if not faulty:
            cases.append(_case(table, own, key))
    for line in sorted(reasons):
        rejects.add(table.place(line), "row", reasons[line])
    return cases


def _case(table: CsvTable, rows: list[tuple[int, TableRow]], key: bytes) -> ImageCase:
    line, first = rows[0]
    lesions: list[LesionCase] = []
    numbers: dict[str, int] = defaultdict(int)
    for at, row in rows:
        kind: Literal["mass", "calc"] | None = row.lesion_type or None
        if kind is not None and row.mask_path:
            numbers[kind] += 1
            lesions.append(
                LesionCase(
                    item=table.place(at),
                    number=numbers[kind],
                    lesion_type=kind,
                    pathology=row.pathology or ("MALIGNANT" if row.label else "BENIGN"),
                    mask_path=row.mask_path,
                )
            )
    return ImageCase(
        item=table.place(line),
        path=first.image_path,
        patient_key=patient_key(key, first.patient_id),
        laterality=first.laterality,
        view=first.view,
        malignant=first.label,
        breast_density=first.breast_density,
        split=first.split,
        lesion_types=frozenset(row.lesion_type for _, row in rows if row.lesion_type),
        lesions=tuple(lesions),
    )
