"""Index a CSV of your own. Its columns are documented in docs/sources.md."""

from collections import defaultdict
from typing import Literal

from mammo_core.errors import SourceError
from mammo_core.sources.adapters.table import TableOptions
from mammo_core.sources.adapters.table.row import TableRow
from mammo_core.sources.adapters.table.rows import (
    Problem,
    column_positions,
    read_rows,
    similar_patients,
)
from mammo_core.sources.assemble import assemble
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.cases import ImageCase, LesionCase
from mammo_core.sources.identity.patients import exam_key, fingerprint, patient_key, site_key
from mammo_core.sources.tables.csv_table import CsvTable, read_csv
from mammo_core.sources.tables.source_tables import ProgressCall, Rejects, SourceTables


def index_table(
    config: SourceConfig,
    files: SourceFiles,
    progress: ProgressCall | None = None,
    workers: int | None = None,
) -> SourceTables:
    """Read a CSV of your own, and find its images and masks.

    An image with a wrong row is left out, and each of its rows is a reject.

    Args:
        config: `tables` is the CSV file, `root` the folder its paths are relative to.
        files: The files under the root.
        progress: Called with what is being done, how many are done, and of how many.
        workers: Threads.

    Returns:
        The tables, with patient keys.

    Raises:
        SourceError: The table cannot be used, or there is no image or no site key.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    table = read_csv(require_table(config))
    key = site_key()
    rows, problems = read_rows(table, config.options(TableOptions).patient_ids_in_paths)
    rejects = Rejects()
    cases = image_cases(table, rows, problems, rejects, key)
    return assemble(
        files,
        "table",
        cases,
        rejects,
        facts={
            "rows": len(table.rows),
            "site_key": fingerprint(key),
            "warnings": similar_patients(rows),
        },
        site_key=key,
        progress=progress,
        workers=workers,
    )


def require_table(config: SourceConfig) -> str:
    """Return the CSV file of a source.

    Args:
        config: The source.

    Raises:
        SourceError: It names none.
    """
    if config.tables is None:
        raise SourceError(
            "The source `table` has no table",
            expected="source.tables: the CSV file",
            received="none",
        )
    return config.tables


def image_cases(
    table: CsvTable,
    rows: list[tuple[int, TableRow]],
    problems: list[Problem],
    rejects: Rejects,
    key: bytes,
) -> list[ImageCase]:
    """Return the images whose rows are all valid; the rows of the others become rejects.

    Args:
        table: The CSV file.
        rows: Its valid rows, with their lines.
        problems: Its problems.
        rejects: What was left out; more is added.
        key: The site key.
    """
    by_line = {problem.line: problem for problem in reversed(problems) if problem.line > 1}
    reasons = {
        line: f"{problem.column}: {problem.problem}".removeprefix(": ")
        for line, problem in by_line.items()
    }
    by_image: dict[str, list[tuple[int, TableRow]]] = defaultdict(list)
    for line, row in rows:
        by_image[row.image_path].append((line, row))
    # A row that could not be read still says which image it belongs to, if its path is valid.
    valid = {line for line, _ in rows}
    at = column_positions(table)["image_path"]
    for line, cells in table.rows:
        if line not in valid and at < len(cells) and cells[at] in by_image:
            for other, _ in by_image[cells[at]]:
                reasons.setdefault(other, f"Line {line}, of the same image, is wrong.")
    cases: list[ImageCase] = []
    for image_rows in by_image.values():
        faulty = [line for line, _ in image_rows if line in reasons]
        for line, _ in image_rows if faulty else ():
            reasons.setdefault(line, f"Line {faulty[0]}, of the same image, is wrong.")
        if not faulty:
            cases.append(_image_case(table, image_rows, key))
    for line in sorted(reasons):
        rejects.add(table.row_name(line), "row", reasons[line])
    return cases


def _image_case(table: CsvTable, rows: list[tuple[int, TableRow]], key: bytes) -> ImageCase:
    first_line, first = rows[0]
    lesions: list[LesionCase] = []
    numbers: dict[str, int] = defaultdict(int)
    for line, row in rows:
        lesion_type: Literal["mass", "calc"] | None = row.lesion_type or None
        if lesion_type is not None and row.mask_path:
            numbers[lesion_type] += 1
            lesions.append(
                LesionCase(
                    item=table.row_name(line),
                    number=numbers[lesion_type],
                    lesion_type=lesion_type,
                    pathology=row.pathology,  # by default the label of the image: see `select`
                    mask_path=row.mask_path,
                )
            )
    return ImageCase(
        item=table.row_name(first_line),
        paths=(first.image_path,),
        patient_key=patient_key(key, first.patient_id),
        laterality=first.laterality,
        view=first.view.view,
        view_modifiers=first.view.modifiers,
        specimen=first.view.specimen,
        malignant=first.label,
        breast_density=first.breast_density,
        split=first.split,
        lesion_types=frozenset(row.lesion_type for _, row in rows if row.lesion_type),
        lesions=tuple(lesions),
        exam_key=exam_key(key, first.patient_id, first.exam_id) if first.exam_id else "",
        exam_date=first.exam_date,
        pathology_date=first.pathology_date,
    )
