"""CSV files with the line number of every row."""

import csv
import io
from dataclasses import dataclass
from urllib.parse import unquote

from mammo_core.errors import SourceError
from mammo_core.sources.source_files import SourceFiles


@dataclass(frozen=True)
class CsvTable:
    """A CSV file.

    Args:
        name: Name of the file.
        columns: Columns as spelled in the header, blanks stripped.
        rows: (line number, cells) of each row that is not blank; cells are stripped.
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
        SourceError: There is no such file, it is not UTF-8, or has no header or a column twice.
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
            content = local.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise SourceError(
            f"The table {name} cannot be read", expected="a CSV file", received="no such file"
        ) from error
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
        SourceError: There is no header, a column is there twice, or a quote is not closed.
    """
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, tuple[str, ...]]] = []
    start = 1  # A quoted cell may contain line breaks: a row is named after its first line.
    try:
        for cells in reader:
            stripped = tuple(cell.strip() for cell in cells)
            if any(stripped):
                rows.append((start, stripped))
            start = reader.line_num + 1
    except csv.Error as error:
        raise SourceError(
            f"The table {name} cannot be parsed",
            expected="CSV with closed quotes",
            received=f"{error} in the row that starts at line {start}",
        ) from error
    if not rows:
        raise SourceError(f"The table {name} is empty", expected="a header", received="no line")
    columns = rows[0][1]
    # The names are not quoted in the message: without a header this is a row of data.
    twice = [str(at) for at, column in enumerate(columns, 1) if columns.count(column) > 1]
    if twice:
        raise SourceError(
            f"The table {name} has a column twice (line 1)",
            expected="a header with each column once",
            received=f"the same name, or none, in columns {', '.join(twice)}",
        )
    return CsvTable(name, columns, tuple(rows[1:]))
