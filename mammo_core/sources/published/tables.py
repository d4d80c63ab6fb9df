"""The tables of a published data set: found by name, read by the columns that are needed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from mammo_core.errors import SourceError
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.tables.source_tables import Rejects
from mammo_core.sources.tables.text_table import TextTable, read_text_table

#: Endings of tables; other names in `source.tables` are folders.
_ENDINGS: Final = (".csv", ".tsv", ".txt", ".parquet", ".xlsx", ".xls")


@dataclass(frozen=True)
class PublishedTable:
    """Some columns of a published table.

    Args:
        name: Name of the file.
        table: Its cells.
        positions: Column → its position in the file.
    """

    name: str
    table: TextTable
    positions: dict[str, int]

    def __len__(self) -> int:
        return self.table.rows

    def rows(self, rejects: Rejects) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield the name of each row and its cells by column; an absent column is empty text.

        Args:
            rejects: What was left out; rows of another length are added.
        """
        for fault in self.table.faults:
            rejects.add(
                self.table.row_name(fault.line),
                "row",
                f"The row has another length than the header. Expected "
                f"{len(self.table.columns)} cells. Received {fault.count or 'too many'}.",
            )
        names = list(self.positions)
        columns = [self.table.cells[self.positions[name]] for name in names]
        texts = [[column.words[code] for code in column.codes] for column in columns]
        for line, cells in zip(self.table.lines, zip(*texts, strict=True), strict=True):
            yield self.table.row_name(int(line)), dict(zip(names, cells, strict=True))


def find_tables(config: SourceConfig, names: Sequence[str]) -> str | None:
    """Return the URI of a table of a data set, or None.

    It is searched for where `source.tables` says, else under the root, at any depth.

    Args:
        config: The source.
        names: File names of the table, the preferred one first; letter case does not matter.

    Raises:
        SourceError: Several tables have that name.
        StoreError: The server failed.
    """
    folder = config.tables or config.root
    if folder.lower().endswith(_ENDINGS):
        folder = folder.rpartition("/")[0] or "."
    files = SourceFiles.open(folder)
    for name in names:
        paths = [path for path in files.names() if path.rsplit("/", 1)[-1].lower() == name.lower()]
        if paths:
            return _uri(files, _only(paths, name, folder))
    return None


def read_table(
    config: SourceConfig,
    names: Sequence[str],
    required: Sequence[str],
    optional: Sequence[str] = (),
    others: Sequence[str] | None = (),
) -> PublishedTable:
    """Read a table of a data set; columns that are not asked for are not read.

    Args:
        config: The source. If `tables` is a file, it is the table, whatever its name; unless it
            has that of another table of the data set.
        names: See `find_tables`; messages call the table by the first.
        required: Columns that it must have.
        optional: Columns that are read where it has them.
        others: File names of the other tables of the data set; None: only a file with a name of
            this table is it.

    Raises:
        SourceError: There is no such table, or it lacks a column.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    stated = config.tables or ""
    name = stated.rsplit("/", 1)[-1].lower()
    is_this = name in {stated_name.lower() for stated_name in names}
    if others is not None and stated.lower().endswith(_ENDINGS):
        is_this = is_this or name not in {other.lower() for other in others}
    uri = stated if is_this else find_tables(config, names)
    if uri is None:
        raise SourceError(
            f"There is no table {names[0]} under {config.tables or config.root}",
            expected=" or ".join(names),
            received="none",
            hint="Name the folder of the published tables with source.tables (--tables)",
        )
    return read_table_at(uri, required, optional)


def read_table_at(
    uri: str, required: Sequence[str], optional: Sequence[str] = ()
) -> PublishedTable:
    """Read a table at a URI: see `read_table`.

    Args:
        uri: Where it is.
        required: Columns that it must have.
        optional: Columns that are read where it has them.

    Raises:
        SourceError: It lacks a column, or cannot be read as a table.
    """
    by_key = {_key(name): name for name in (*required, *optional)}
    positions: dict[str, int] = {}

    def choose(header: Sequence[str]) -> Sequence[int]:
        for at, column in enumerate(header):
            name = by_key.get(_key(column))
            if name is not None:
                positions.setdefault(name, at)
        missing = [name for name in required if name not in positions]
        if missing:
            raise SourceError(
                f"The table {uri.rsplit('/', 1)[-1]} is not the published one",
                expected="the columns " + ", ".join(required),
                received="no column " + ", ".join(missing),
            )
        return sorted(positions.values())

    table = read_text_table(uri, choose)
    return PublishedTable(table.name, table, positions)


def _key(column: str) -> str:
    return column.strip().casefold()


def _only(paths: list[str], name: str, folder: str) -> str:
    """Return the one that is nearest to the root."""
    depth = min(path.count("/") for path in paths)
    nearest = [path for path in paths if path.count("/") == depth]
    if len(nearest) > 1:
        raise SourceError(
            f"Several tables {name} are under {folder}",
            expected="one",
            received=", ".join(nearest[:3]),
            hint="Name the folder of the published tables with source.tables (--tables)",
        )
    return nearest[0]


def _uri(files: SourceFiles, path: str) -> str:
    is_local = files.folder is not None
    return f"{files.uri.rstrip('/')}/{quote(path) if is_local else path}"
