"""Rows of Excel workbooks and Parquet files, as text, as a CSV file would have them."""

import re
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from mammo_core.errors import SourceError
from mammo_core.sources.tables.csv_table import (
    MAXIMUM_CELLS,
    MAXIMUM_COLUMNS,
    MAXIMUM_ROWS,
    require_header,
)

#: Unpacked bytes of a workbook: a million rows of ten columns have 500 MB.
_MAXIMUM_UNPACKED: Final = 2**30
_CELL: Final = re.compile(rb"""\sr=["']\s*([A-Za-z]{1,4})(\d{1,9})""")
_CHUNK: Final = 2**20
_OVERLAP: Final = 32


def cell_text(value: Any) -> str:
    """Return a value as a CSV file would have it: whole numbers without a point, ISO dates.

    Args:
        value: What a workbook or a Parquet file contains.
    """
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime):
        midnight = value.time() == datetime.min.time()
        return value.date().isoformat() if midnight else value.isoformat(sep=" ")
    return value.isoformat() if isinstance(value, date) else str(value)


def workbook_rows(path: Path, name: str, sheet: str = "") -> Iterator[tuple[int, list[str]]]:
    """Yield the header and the rows of a sheet: see `csv_rows`.

    Args:
        path: An Excel file (.xlsx or .xls).
        name: Its name, for messages.
        sheet: Name of the sheet; empty: the first.

    Raises:
        SourceError: It is no workbook, has no such sheet or no header, or is too large.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        if zipfile.is_zipfile(path):
            _require_small(path, name)
        with CalamineWorkbook.from_path(str(path)) as workbook:
            names = workbook.sheet_names
            if not names or (sheet and sheet not in names):
                raise _error(name, "one of its sheets", f"no sheet {sheet!r} among {len(names)}")
            table = workbook.get_sheet_by_name(sheet or names[0])
            first = (table.start or (0, 0))[0] + 1
            rows = (
                (at, list(map(cell_text, row))) for at, row in enumerate(table.iter_rows(), first)
            )
            yield from _checked(rows, name)
    except (CalamineError, zipfile.BadZipFile, ValueError) as error:
        raise _error(name, "an Excel workbook", type(error).__name__) from error


def _require_small(path: Path, name: str) -> None:
    """Refuse a workbook that would take more memory than its cells: the reader fills the gaps."""
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > _MAXIMUM_UNPACKED:
            raise _error(name, f"at most {_MAXIMUM_UNPACKED} unpacked bytes", f"{unpacked}")
        for entry in archive.infolist():
            if not re.search(r"worksheets/[^/]*\.(xml|bin)$", entry.filename):
                continue
            with archive.open(entry) as file:
                rows, columns = _extent(file)
            if rows > MAXIMUM_ROWS or columns > MAXIMUM_COLUMNS or rows * columns > MAXIMUM_CELLS:
                raise _error(
                    name,
                    f"at most {MAXIMUM_COLUMNS} columns and {MAXIMUM_CELLS} cells in a sheet",
                    f"{rows} rows and {columns} columns",
                )


def _extent(file: Any) -> tuple[int, int]:
    """Return the last row and column that a sheet names."""
    rows, letters, tail = 0, b"", b""
    while chunk := file.read(_CHUNK):
        for column, row in _CELL.findall(tail + chunk):
            if len(row) > 7 or int(row) > rows:
                rows = int(row)
            if (len(column), column) > (len(letters), letters):
                letters = column
        tail = chunk[-_OVERLAP:]
    columns = 0
    for letter in letters.upper():
        columns = columns * 26 + letter - 64
    return rows, columns


def parquet_rows(path: Path, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the header and the rows of a Parquet file: see `csv_rows`.

    Args:
        path: The file.
        name: Its name, for messages.

    Raises:
        SourceError: It is no Parquet file, has no header, or is too large.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            columns = [column.strip() for column in file.schema_arrow.names]
            yield 1, require_header(columns, name)
            if file.metadata.num_rows > MAXIMUM_ROWS:
                raise _error(name, f"at most {MAXIMUM_ROWS} rows", f"{file.metadata.num_rows}")
            line = 1
            for batch in file.iter_batches(batch_size=8192):
                texts: Sequence[list[str]] = [
                    list(map(cell_text, column.to_pylist())) for column in batch.columns
                ]
                for cells in zip(*texts, strict=True):
                    line += 1
                    yield line, list(cells)
    except (pa.ArrowException, OSError) as error:
        raise _error(name, "a Parquet file", type(error).__name__) from error


def _checked(rows: Iterator[tuple[int, list[str]]], name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the header, without the empty columns behind it, and the rows that are not blank."""
    width = 0
    for line, cells in rows:
        if not any(map(str.strip, cells)):
            continue
        if not width:
            columns = [cell.strip() for cell in cells]
            while columns and not columns[-1]:
                columns.pop()
            width = len(columns)
            cells = require_header(columns, name, line)
        elif not any(cells[width:]):
            cells = cells[:width]
        yield line, cells
    if not width:
        raise SourceError(f"The table {name} is empty", expected="a header", received="no row")


def _error(name: str, expected: str, received: str) -> SourceError:
    return SourceError(f"The table {name} cannot be read", expected=expected, received=received)
