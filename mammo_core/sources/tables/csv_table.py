"""CSV files with the line number of every row."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from mammo_core.errors import SourceError
from mammo_core.sources.files.source_files import SourceFiles

#: Bytes of a table that is read as a whole: a million rows of a published collection have 200 MB.
_MAXIMUM_BYTES: Final = 2**28
#: Bytes of a table of which only some columns are kept: those of EMBED have hundreds of columns.
MAXIMUM_STREAMED_BYTES: Final = 2**32
MAXIMUM_ROWS: Final = 2_000_000
#: Cells of all rows: each takes up to a hundred bytes. Tables of a million rows have ten columns.
MAXIMUM_CELLS: Final = 20_000_000
MAXIMUM_COLUMNS: Final = 1_000
_MAXIMUM_NAME: Final = 200
#: Characters of a line, and so of a cell: the limit of Python's reader. Rows have a few hundred.
_MAXIMUM_LINE: Final = 131_072
#: Why a row without cells is a reject.
LONG_ROW: Final = (
    f"The row is too long. Expected up to {_MAXIMUM_LINE} characters in a line and "
    f"{MAXIMUM_COLUMNS} cells. Received more."
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


def split_uri(uri: str) -> tuple[SourceFiles, str]:
    """Return the files of the folder that a file is in, and its name among them.

    Args:
        uri: A plain path, file:// or s3:// URI of a file.

    Raises:
        StoreError: The URI is not valid.
    """
    folder, _, name = uri.rstrip("/").rpartition("/")
    files = SourceFiles.open(folder or ("/" if uri.startswith("/") else "."))
    return files, unquote(name) if uri.startswith("file://") else name


def read_csv(uri: str) -> CsvTable:
    """Read a CSV file: UTF-8, separated by commas, semicolons or tabs as its header is.

    Args:
        uri: A plain path, file:// or s3:// URI of the file.

    Raises:
        SourceError: There is no such file, it is not UTF-8, too large, or has no header or a
            column twice.
    """
    files, name = split_uri(uri)
    return read_csv_among(files, name)


def read_csv_among(files: SourceFiles, path: str) -> CsvTable:
    """Read a CSV file among other files, as `read_csv` does.

    Args:
        files: The files.
        path: Its path among them.

    Raises:
        SourceError: As `read_csv`.
    """
    name = path.rsplit("/", 1)[-1]
    with open_table(files, path) as local, csv_lines(local, name) as lines:
        return _collect(csv_rows(lines, name), name)


@contextmanager
def open_table(
    files: SourceFiles, path: str, maximum_bytes: int = _MAXIMUM_BYTES
) -> Iterator[Path]:
    """Yield a local file with the bytes of a table.

    Args:
        files: The files it is among.
        path: Its path among them.
        maximum_bytes: What it may have; by default 256 MiB.

    Raises:
        SourceError: There is no such file, or it is too large.
    """
    name = path.rsplit("/", 1)[-1]
    try:
        with files.as_local_file(path) as local:
            size = local.stat().st_size
            if not local.is_file():
                raise FileNotFoundError
            if size > maximum_bytes:
                raise SourceError(
                    f"The table {name} cannot be read",
                    expected=f"at most {maximum_bytes} bytes",
                    received=f"{size} bytes",
                )
            yield local
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise SourceError(
            f"The table {name} cannot be read", expected="a file", received="no such file"
        ) from error


@contextmanager
def csv_lines(path: Path, name: str, encoding: str = "utf-8") -> Iterator[Iterator[str]]:
    """Yield the lines of a CSV file, ends of lines included.

    Args:
        path: The file.
        name: Its name, for messages.
        encoding: How its text is encoded.

    Raises:
        SourceError: It is a workbook, or its text is encoded otherwise: also while it is read.
    """
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(_ARCHIVE):
        raise SourceError(
            f"The table {name} cannot be read",
            expected="a CSV file",
            received="a workbook of a spreadsheet, or another archive",
            hint="Save it as 'CSV UTF-8'",
        )
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    try:
        with path.open(encoding=codec, newline="") as file:
            yield iter(file)
    except UnicodeDecodeError as error:
        raise SourceError(
            f"The table {name} cannot be read",
            expected=f"{encoding.upper()} text",
            received=f"another encoding, in line {_undecodable_line(path, encoding)}",
            hint="Spreadsheets save it as 'CSV UTF-8'; or say how it is encoded",
        ) from error


def _undecodable_line(path: Path, encoding: str) -> int:
    """Return the first line that cannot be decoded; the last line if each alone can be."""
    lines = 1
    with path.open("rb") as file:
        for line in file:
            try:
                line.decode(encoding)
            except UnicodeDecodeError:
                return lines
            lines += 1
    return lines - 1


def parse_csv(text: str, name: str) -> CsvTable:
    """Parse the text of a CSV file.

    Args:
        text: The whole text.
        name: Name of the file, for messages.

    Raises:
        SourceError: There is no header, a column is there twice, a quote is not closed, or the
            table is too large.
    """
    return _collect(csv_rows(io.StringIO(text, newline=""), name), name)


def _collect(rows: Iterator[tuple[int, list[str]]], name: str) -> CsvTable:
    _, columns = next(rows)
    collected: list[tuple[int, tuple[str, ...]]] = []
    count = 0
    for line, cells in rows:
        count += len(cells)
        if count > MAXIMUM_CELLS:
            raise too_many_cells(name, line)
        collected.append((line, tuple([cell.strip() for cell in cells])))
    return CsvTable(name, tuple(columns), tuple(collected))


def too_many_cells(name: str, line: int) -> SourceError:
    """Return the error of a table with too many cells.

    Args:
        name: Name of its file.
        line: Line of the first row that is too much.
    """
    return SourceError(
        f"The table {name} is too large",
        expected=f"at most {MAXIMUM_CELLS} cells",
        received=f"more, from line {line} on",
    )


def csv_rows(lines: Iterable[str], name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the header, and then each row that is not blank, with its first line.

    The header is checked before any other line is read.

    Args:
        lines: The lines of a CSV file, with their ends.
        name: Its name, for messages.

    Yields:
        (line, cells): the names of the columns without blanks around them; then cells as they
        are in the file, none for a row that is too long (`LONG_ROW`).

    Raises:
        SourceError: There is no header, a column is there twice, a quote is not closed, or there
            are too many rows.
    """
    head, lines = _first_line(lines)
    delimiter = max(",;\t", key=head.count)
    long_lines: set[int] = set()
    reader = csv.reader(_short_lines(lines, long_lines), delimiter=delimiter, strict=True)
    has_header = False
    count = 0
    start = 1  # A quoted cell may contain line breaks: a row is named after its first line.
    try:
        for cells in reader:
            is_long = len(cells) > MAXIMUM_COLUMNS or (
                bool(long_lines) and not long_lines.isdisjoint(range(start, reader.line_num + 1))
            )
            if is_long:
                cells = []
            elif not cells or not (cells[0].strip() or any(map(str.strip, cells))):
                start = reader.line_num + 1
                continue
            if not has_header:
                cells = require_header([cell.strip() for cell in cells], name, start)
                has_header = True
            elif (count := count + 1) > MAXIMUM_ROWS:
                raise csv.Error(f"more than {MAXIMUM_ROWS} rows")
            yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise SourceError(
            f"The table {name} cannot be parsed",
            expected=f"CSV with closed quotes, at most {MAXIMUM_ROWS} rows",
            received=f"{error} in the row that starts at line {start}",
        ) from error
    if not has_header:
        raise SourceError(f"The table {name} is empty", expected="a header", received="no line")


def require_header(columns: list[str], name: str, line: int = 1) -> list[str]:
    """Return the columns of a table, if each has a name of its own.

    Args:
        columns: Their names, without blanks around them; none of a row that is too long.
        name: Name of the file, for messages.
        line: Line of the header.

    Raises:
        SourceError: There are too many, a name is too long, or one is there twice.
    """
    if not columns or len(columns) > MAXIMUM_COLUMNS or max(map(len, columns)) > _MAXIMUM_NAME:
        raise SourceError(
            f"The table {name} has no header that can be used (line {line})",
            expected=f"up to {MAXIMUM_COLUMNS} columns, names up to {_MAXIMUM_NAME} characters",
            received="more columns, or a longer name",
        )
    # The names are not quoted in the message: without a header this is a row of data.
    counts = Counter(columns)
    twice = [str(at) for at, column in enumerate(columns, 1) if counts[column] > 1]
    if twice:
        raise SourceError(
            f"The table {name} has a column twice (line {line})",
            expected="a header with each column once",
            received=f"the same name, or none, in columns {', '.join(twice[:20])}",
        )
    return columns


def _first_line(lines: Iterable[str]) -> tuple[str, Iterator[str]]:
    """Return the first line that is not blank, and all lines."""
    iterator = iter(lines)
    before: list[str] = []
    for line in iterator:
        before.append(line)
        if line.strip():
            break
    return before[-1] if before else "", chain(before, iterator)


def _short_lines(lines: Iterator[str], long_lines: set[int]) -> Iterator[str]:
    """Yield the lines; of one that is too long only its end, and its number is noted.

    Raises:
        csv.Error: What is left out would open or close a quote.
    """
    for number, line in enumerate(lines, 1):
        if len(line) <= _MAXIMUM_LINE:
            yield line
            continue
        if line.count('"') % 2:
            raise csv.Error(f"a line of {len(line)} characters with an open quote")
        long_lines.add(number)
        yield "\n"
