"""Tables of any format, column by column: each different cell once, and which one a row has.

A million rows of a site's own table fit into memory this way, and a cell that many rows have is
parsed once.
"""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mammo_core.sources.tables.csv_table import (
    MAXIMUM_CELLS,
    MAXIMUM_STREAMED_BYTES,
    csv_lines,
    csv_rows,
    open_table,
    split_uri,
    too_many_cells,
)

Codes = npt.NDArray[np.int32]
#: (line, cells) of the header and of each row: see `csv_rows`.
Rows = Iterator[tuple[int, list[str]]]
#: Opens a file: its path, its name, and what was stated about it (`encoding`, `sheet`).
OpenRows = Callable[[Path, str, Mapping[str, str]], Any]

_CHUNK: Final = 4096


@dataclass(frozen=True)
class TextColumn:
    """A column of text.

    Args:
        words: The different cells, blanks stripped.
        codes: (rows,) int32: which of the words each row has.
    """

    words: tuple[str, ...]
    codes: Codes


@dataclass(frozen=True, slots=True)
class RowFault:
    """A row that has another number of cells than the header.

    Args:
        line: Its line.
        count: Its cells; 0: it is too long.
        cells: Position of a column that is read → its cell there.
    """

    line: int
    count: int
    cells: Mapping[int, str]


@dataclass(frozen=True)
class TextTable:
    """The columns of a table that are read.

    Args:
        name: Name of the file.
        columns: All columns as spelled in the header, blanks stripped.
        lines: (rows,) int64: line of each row that has as many cells as the header.
        cells: Position of a column that is read → its cells.
        faults: Each row that has another number of cells.
    """

    name: str
    columns: tuple[str, ...]
    lines: npt.NDArray[np.int64]
    cells: Mapping[int, TextColumn]
    faults: tuple[RowFault, ...]

    @property
    def rows(self) -> int:
        """Rows below the header."""
        return len(self.lines) + len(self.faults)

    def row_name(self, line: int) -> str:
        """Return the name of a row in rejects."""
        return f"{self.name} line {line}"


def read_text_table(
    uri: str,
    choose: Callable[[Sequence[str]], Sequence[int]],
    *,
    encoding: str = "utf-8",
    sheet: str = "",
    maximum_rows: int | None = None,
) -> TextTable:
    """Read some columns of a table: CSV, Parquet (`.parquet`) or Excel (`.xlsx`, `.xls`).

    Args:
        uri: A plain path, file:// or s3:// URI of the file.
        choose: Returns the positions of the columns to read, for the header.
        encoding: How the text of a CSV file is encoded.
        sheet: Sheet of a workbook; empty: its first.
        maximum_rows: Rows to read; None: all.

    Raises:
        SourceError: It cannot be read as a table, or is too large.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    files, path = split_uri(uri)
    name = path.rsplit("/", 1)[-1]
    stated = {"encoding": encoding, "sheet": sheet}
    # A workbook is in memory as a whole; of the others, only the columns that are read are.
    limit = () if name.lower().endswith(_WORKBOOKS) else (MAXIMUM_STREAMED_BYTES,)
    with open_table(files, path, *limit) as local, _open_rows(local, name, stated) as rows:
        _, header = next(rows)
        chosen = list(choose(header))
        return _encode(name, header, chosen, islice(rows, maximum_rows))


@contextmanager
def _open_csv(path: Path, name: str, stated: Mapping[str, str]) -> Iterator[Rows]:
    with csv_lines(path, name, stated["encoding"]) as lines:
        yield csv_rows(lines, name)


@contextmanager
def _open_parquet(path: Path, name: str, stated: Mapping[str, str]) -> Iterator[Rows]:
    from mammo_core.sources.tables.workbook import parquet_rows

    yield parquet_rows(path, name)


@contextmanager
def _open_workbook(path: Path, name: str, stated: Mapping[str, str]) -> Iterator[Rows]:
    from mammo_core.sources.tables.workbook import workbook_rows

    yield workbook_rows(path, name, stated["sheet"])


_WORKBOOKS: Final = (".xlsx", ".xls")
#: Ending of a file → how it is opened; any other is CSV.
_FORMATS: Final[Mapping[str, OpenRows]] = {
    ".parquet": _open_parquet,
    ".xlsx": _open_workbook,
    ".xls": _open_workbook,
}


def _open_rows(path: Path, name: str, stated: Mapping[str, str]) -> Any:
    ending = f".{name.rsplit('.', 1)[-1].lower()}"
    return _FORMATS.get(ending, _open_csv)(path, name, stated)


def _encode(name: str, header: Sequence[str], chosen: Sequence[int], rows: Rows) -> TextTable:
    width = len(header)
    lines = array("q")
    faults: list[RowFault] = []
    encoders = {at: _Encoder() for at in chosen}
    maximum = MAXIMUM_CELLS // max(1, len(chosen))
    while chunk := list(islice(rows, _CHUNK)):
        valid = [row for row in chunk if len(row[1]) == width]
        if len(valid) < len(chunk):
            faults += [_fault(row, chosen) for row in chunk if len(row[1]) != width]
        if len(lines) + len(valid) > maximum:
            raise too_many_cells(name, chunk[0][0])
        if valid:
            chunk_lines, cells = zip(*valid, strict=True)
            lines.extend(chunk_lines)
            columns = list(zip(*cells, strict=True))
            for at, encoder in encoders.items():
                encoder.add(columns[at])
    return TextTable(
        name=name,
        columns=tuple(header),
        lines=np.frombuffer(lines, np.int64) if lines else np.zeros(0, np.int64),
        cells={at: encoder.column() for at, encoder in encoders.items()},
        faults=tuple(faults),
    )


def _fault(row: tuple[int, list[str]], chosen: Sequence[int]) -> RowFault:
    line, cells = row
    named = {at: cells[at].strip() for at in chosen if at < len(cells)}
    return RowFault(line, len(cells), named)


class _Encoder:
    """Collects the different cells of a column."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}
        self._codes = array("i")

    def add(self, cells: Sequence[str]) -> None:
        index = self._index
        # The length is taken before the cell is added: it is the next free number.
        self._codes.extend([index.setdefault(cell, len(index)) for cell in cells])

    def column(self) -> TextColumn:
        words = tuple([word.strip() for word in self._index])
        codes = np.frombuffer(self._codes, np.int32) if self._codes else np.zeros(0, np.int32)
        return TextColumn(words, codes)
