"""Where in a table each thing is: its columns, and how its paths are made."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from pydantic import ValidationError

from mammo_core.documents import MAXIMUM_YAML_BYTES, DocumentError, parse_yaml, read_bounded
from mammo_core.errors import SourceError
from mammo_core.sources.adapters.table.cells import (
    COLUMNS,
    REQUIRED,
    column_name,
    split_name,
)
from mammo_core.sources.adapters.table.options import TableMapping, TableOptions
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.tables.csv_table import split_uri

_FIELD: Final = re.compile(r"\{([^{}:]+)(?::(0>\d{1,2}))?\}")


@dataclass(frozen=True)
class PathTemplate:
    """How a path is made of cells.

    Args:
        texts: What stands before, between and behind the cells: one more than fields.
        fields: (position, format) of each cell.
    """

    texts: tuple[str, ...]
    fields: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class TableLayout:
    """Where a table has what is read.

    Args:
        positions: Our name, such as `lesion_box_2` → position of its column.
        names: Our name → its column as the table spells it.
        templates: `image_path` or `lesion_mask` → how it is made.
        unknown: Columns that are neither read nor ignored, as the table spells them.
    """

    positions: Mapping[str, int]
    names: Mapping[str, str]
    templates: Mapping[str, PathTemplate]
    unknown: tuple[str, ...]

    def columns(self) -> list[int]:
        """Return the positions of all columns that are read."""
        fields = (at for template in self.templates.values() for at, _ in template.fields)
        return sorted({*self.positions.values(), *fields})

    def title(self, name: str) -> str:
        """Return what a message calls a column: the table's name for it, and what it is.

        Args:
            name: Our name.
        """
        spelled = self.names.get(name, name)
        return name if column_name(spelled) == name else f"{spelled} ({name})"


def table_options(config: SourceConfig) -> TableOptions:
    """Return the options of a table, with those of its mapping file.

    Args:
        config: The source.

    Raises:
        SourceError: The mapping file cannot be read, or is not valid.
    """
    options = config.options(TableOptions)
    if not options.mapping or config.tables is None:
        return options
    files, table = split_uri(config.tables)
    return options.joined(read_mapping(files, mapping_path(table, options.mapping)))


def mapping_path(table: str, mapping: str) -> str:
    """Return the path of a mapping file beside a table.

    Args:
        table: Path of the table.
        mapping: Name of the file.
    """
    folder, slash, _ = table.rpartition("/")
    return f"{folder}{slash}{mapping}"


def read_mapping(files: SourceFiles, path: str) -> dict[str, object]:
    """Read a mapping file.

    Args:
        files: The files that it is among.
        path: Its path among them.

    Raises:
        SourceError: There is none, or it is no YAML with the keys of a mapping.
    """
    name = path.rpartition("/")[2]
    try:
        with files.as_local_file(path) as local:
            content = parse_yaml(read_bounded(local, MAXIMUM_YAML_BYTES).decode())
        TableMapping.model_validate(content)
    except (OSError, DocumentError, UnicodeDecodeError) as error:
        received = "no such file" if isinstance(error, OSError) else "no YAML that can be read"
        raise _mapping_error(name, "a YAML file beside the table", received) from error
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        key = ".".join(map(str, first["loc"])) or "a mapping"
        raise _mapping_error(name, f"{key}: {first['msg']}", "something else") from error
    return dict(content)


def _mapping_error(name: str, expected: str, received: str) -> SourceError:
    return SourceError(
        f"The mapping {name} cannot be used",
        expected=expected,
        received=received,
        hint="`mammo sources suggest` proposes one; docs/sources.md lists its keys",
    )


def find_layout(name: str, header: Sequence[str], options: TableMapping) -> TableLayout:
    """Return where a table has what is read.

    Args:
        name: Name of the file, for messages.
        header: Its columns.
        options: How it is read.

    Raises:
        SourceError: A column is missing or there twice, or the mapping names none of ours.
    """
    exact = {column: at for at, column in enumerate(header)}
    by_name: dict[str, int] = {}
    for at, column in enumerate(header):
        by_name.setdefault(column_name(column), at)

    def find(column: str, key: str) -> int:
        at = exact.get(column, by_name.get(column_name(column)))
        if at is None:
            raise SourceError(
                f"The table {name} has no column that source.table.{key} names (line 1)",
                expected=f"a column {column}",
                received=f"{len(header)} other columns",
            )
        return at

    positions: dict[str, int] = {}
    used: set[int] = set()

    def add(target: str, at: int) -> None:
        if target in positions:
            raise SourceError(
                f"The table {name} has a column twice",
                expected="each column once",
                received=f"{header[positions[target]]} and {header[at]}, both {target}",
                hint="List the one that is not meant in source.table.ignore",
            )
        positions[target] = at
        used.add(at)

    _require_ours(options)
    for column, targets in options.targets.items():
        for target in targets:
            add(target, find(column, "columns"))
    ignored = {at for at, column in enumerate(header) if column in options.ignore}
    for at, column in enumerate(header):
        target = column_name(column)
        # What a template makes or is stated for all rows needs no column of that name.
        if at not in used | ignored and target not in options.paths and split_name(target)[0]:
            add(target, at)
    templates: dict[str, PathTemplate] = {}
    for target, text in options.paths.items():
        templates[target] = _template(
            text, lambda column: positions[column] if column in positions else find(column, "paths")
        )
        used.update(at for at, _ in templates[target].fields)
    for target in {*options.paths, *options.constants} & {*positions}:
        raise SourceError(
            f"The table {name} has {target} twice",
            expected="a column, or source.table.paths or constants",
            received=f"both, the column is {header[positions[target]]}",
        )
    known = {*positions, *templates, *options.constants}
    missing = [target for target in REQUIRED if target not in known]
    if missing:
        raise SourceError(
            f"The table {name} has no column {', '.join(missing)} (line 1)",
            expected=", ".join(REQUIRED),
            received=f"{len(header)} columns, of which these are known: "
            + (", ".join(target for target in COLUMNS if target in known) or "none"),
            hint="`mammo sources suggest TABLE` proposes which column is what",
        )
    return TableLayout(
        positions,
        {target: header[at] for target, at in positions.items()},
        templates,
        tuple(
            column
            for at, column in enumerate(header)
            if at not in used and not any(fnmatchcase(column, p) for p in options.ignore)
        ),
    )


def _require_ours(options: TableMapping) -> None:
    """Refuse a mapping that names what is no column of ours."""
    named = [target for targets in options.targets.values() for target in targets]
    for key, names in (
        ("columns", named),
        ("values", list(options.values)),
        ("constants", list(options.constants)),
    ):
        for target in names:
            if not split_name(target)[0]:
                raise SourceError(
                    f"source.table.{key} names an unknown column",
                    expected=", ".join(COLUMNS),
                    received=target[:100],
                )


def _template(text: str, find: Callable[[str], int]) -> PathTemplate:
    texts: list[str] = []
    fields: list[tuple[int, str]] = []
    end = 0
    for match in _FIELD.finditer(text):
        texts.append(text[end : match.start()])
        fields.append((find(match[1]), match[2] or ""))
        end = match.end()
    texts.append(text[end:])
    if not fields or any("{" in part or "}" in part for part in texts):
        raise SourceError(
            "A template in source.table.paths cannot be used",
            expected="columns in braces, such as {patient_id}/{image_id}.dcm or {image_id:0>5}.png",
            received=text[:200],
        )
    return PathTemplate(tuple(texts), tuple(fields))
