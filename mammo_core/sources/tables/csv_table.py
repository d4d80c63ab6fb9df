"""CSV files with the line number of every row."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from mammo_core.documents import DocumentError, read_bounded
from mammo_core.errors import SourceError
from mammo_core.sources.files.source_files import SourceFiles

#: Bytes of a table: a million rows of a published collection have 200 MB.
_MAXIMUM_BYTES: Final = 2**28
_MAXIMUM_ROWS: Final = 2_000_000
#: Cells of all rows: each takes up to a hundred bytes. Tables of a million rows have ten columns.
_MAXIMUM_CELLS: Final = 20_000_000
_MAXIMUM_COLUMNS: Final = 1_000
_MAXIMUM_NAME: Final = 200
#: Characters of a line, and so of a cell: the limit of Python's reader. Rows have a few hundred.
_MAXIMUM_LINE: Final = 131_072
#: Why a row without cells is a reject.
LONG_ROW: Final = (
    f"The row is too long. Expected up to {_MAXIMUM_LINE} characters in a line and "
    f"{_MAXIMUM_COLUMNS} cells. Received more."
)
_ARCHIVE: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods; .xls


@dataclass(frozen=True)
class CsvTable:
    """A CSV file.

    Args:
        name: Name of the file.
        columns: Columns as spelled in the header, blanks stripped.
        rows: (line number, cells) of each row that is not blank; cells are stripped. A row that
            is too long has no cells (`LONG_ROW`).
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]

    def row_name(self, line: int) -> str:
        """Return the name of a row in rejects."""
        return f"{self.name} line {line}"


def read_csv(uri: str) -> CsvTable:
    """Read a CSV file: UTF-8, separated by commas, semicolons or tabs as its header is.

    Args:
        uri: A plain path, file:// or s3:// URI of the file.

    Raises:
        SourceError: There is no such file, it is not UTF-8, too large, or has no header or a
            column twice.
    """
    folder, _, name = uri.rstrip("/").rpartition("/")
    files = SourceFiles.open(folder or ("/" if uri.startswith("/") else "."))
    return read_csv_among(files, unquote(name) if uri.startswith("file://") else name)


def read_csv_among(files: SourceFiles, path: str) -> CsvTable:
    """Read a CSV file among other files, as `read_csv` does.

    Args:
        files: The files.
        path: Its path among them.

    Raises:
        SourceError: As `read_csv`.
    """
    name = path.rsplit("/", 1)[-1]
    try:
        with files.as_local_file(path) as local:
            content = read_bounded(local, _MAXIMUM_BYTES)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise SourceError(
            f"The table {name} cannot be read", expected="a CSV file", received="no such file"
        ) from error
    except DocumentError as error:
        raise SourceError(
            f"The table {name} cannot be read", expected="a CSV file", received=error.received
        ) from error
    if content.startswith(_ARCHIVE):
        raise SourceError(
            f"The table {name} cannot be read",
            expected="a CSV file",
            received="a workbook of a spreadsheet, or another archive",
            hint="Save it as 'CSV UTF-8'",
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SourceError(
            f"The table {name} cannot be read",
            expected="UTF-8 text",
            received=f"another encoding, in line {line}",
            hint="Spreadsheets save it as 'CSV UTF-8'",
        ) from error
    return parse_csv(text, name)


def parse_csv(text: str, name: str) -> CsvTable:
    """Parse the text of a CSV file.

    Args:
        text: The whole text.
        name: Name of the file, for messages.

    Raises:
        SourceError: There is no header, a column is there twice, a quote is not closed, or the
            table is too large.
    """
    header = text[: text.find("\n")] if "\n" in text else text
    delimiter = max(",;\t", key=header.count)
    long_lines: set[int] = set()
    reader = csv.reader(_lines(text, long_lines), delimiter=delimiter, strict=True)
    rows: list[tuple[int, tuple[str, ...]]] = []
    count = 0
    start = 1  # A quoted cell may contain line breaks: a row is named after its first line.
    try:
        for cells in reader:
            stripped = tuple(cell.strip() for cell in cells)
            is_long = len(cells) > _MAXIMUM_COLUMNS or not long_lines.isdisjoint(
                range(start, reader.line_num + 1)
            )
            if is_long:
                rows.append((start, ()))
            elif any(stripped):
                rows.append((start, stripped))
                count += len(stripped)
            if count > _MAXIMUM_CELLS:
                raise csv.Error(f"more than {_MAXIMUM_CELLS} cells")
            if len(rows) > _MAXIMUM_ROWS:
                raise csv.Error(f"more than {_MAXIMUM_ROWS} rows")
            start = reader.line_num + 1
    except csv.Error as error:
        raise SourceError(
            f"The table {name} cannot be parsed",
            expected=f"CSV with closed quotes, at most {_MAXIMUM_ROWS} rows and {_MAXIMUM_CELLS} "
            "cells",
            received=f"{error} in the row that starts at line {start}",
        ) from error
    if not rows:
        raise SourceError(f"The table {name} is empty", expected="a header", received="no line")
    columns = rows[0][1]
    if not columns or max(map(len, columns)) > _MAXIMUM_NAME:
        raise SourceError(
            f"The table {name} has no header that can be used (line {rows[0][0]})",
            expected=f"up to {_MAXIMUM_COLUMNS} columns, names up to {_MAXIMUM_NAME} characters",
            received="more columns, or a longer name",
        )
    # The names are not quoted in the message: without a header this is a row of data.
    twice = [str(at) for at, column in enumerate(columns, 1) if columns.count(column) > 1]
    if twice:
        raise SourceError(
            f"The table {name} has a column twice (line 1)",
            expected="a header with each column once",
            received=f"the same name, or none, in columns {', '.join(twice)}",
        )
    return CsvTable(name, columns, tuple(rows[1:]))


def _lines(text: str, long_lines: set[int]) -> Iterator[str]:
    """Yield the lines; of one that is too long only its end, and its number is noted.

    Raises:
        csv.Error: What is left out would open or close a quote.
    """
    for number, line in enumerate(io.StringIO(text, newline=""), 1):
        if len(line) <= _MAXIMUM_LINE:
            yield line
            continue
        if line.count('"') % 2:
            raise csv.Error(f"a line of {len(line)} characters with an open quote")
        long_lines.add(number)
        yield "\n"
