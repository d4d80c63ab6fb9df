"""Propose a mapping for a table: what its columns are, and what its cells mean.

A proposal says what it is not sure of. It contains words of sides, views, labels and the like, but
never a cell that is none of these, because that could be the name of a patient.
"""

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from mammo_core.sources.adapters.table.cells import column_name
from mammo_core.sources.adapters.table.options import TableMapping
from mammo_core.sources.adapters.table.regions import BOX_COLUMNS, Box, read_boxes
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.patients import contains_patient_id
from mammo_core.sources.suggest.columns import Columns, find_columns
from mammo_core.sources.suggest.dates import find_dates
from mammo_core.sources.suggest.paths import find_path_form
from mammo_core.sources.suggest.published_tables import Likeness, find_likeness
from mammo_core.sources.tables.csv_table import MAXIMUM_STREAMED_BYTES, open_table, split_uri
from mammo_core.sources.tables.text_table import TextColumn, read_text_table

#: Rows that are looked at.
_ROWS: Final = 20_000


@dataclass(frozen=True)
class Suggestion:
    """A proposal for a table.

    Args:
        mapping: Keys of `source.table`.
        notes: What the user has to look at, a sentence each.
        like: Published tables that it looks like, the likest first.
        rows: Rows that were looked at.
    """

    mapping: Mapping[str, Any]
    notes: tuple[str, ...]
    like: tuple[Likeness, ...]
    rows: int

    def text(self, table: str) -> str:
        """Return the proposal as a YAML file for the mapping beside a table.

        Args:
            table: Name of the table.
        """
        notes = "".join(f"# - {note}\n" for note in self.notes)
        body: str = yaml.safe_dump(
            dict(self.mapping), allow_unicode=True, sort_keys=False, default_flow_style=False
        )
        return (
            f"# How {table} is read, as `mammo sources suggest` proposes. Read every line: a\n"
            "# wrong word under `values.label` trains a wrong model. Keys: docs/sources.md.\n"
            + ("# To look at:\n" + notes if notes else "")
            + body
        )


def suggest(uri: str, images: SourceFiles | None = None, sheet: str = "") -> Suggestion:
    """Propose how a table is read.

    Args:
        uri: The table: CSV, Parquet or Excel.
        images: The files under its image folder; None: paths are not compared with files.
        sheet: Sheet of a workbook; empty: its first.

    Raises:
        SourceError: It cannot be read as a table.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    encoding = _encoding_of(uri)
    table = read_text_table(
        uri,
        lambda header: range(len(header)),
        encoding=encoding,
        sheet=sheet,
        maximum_rows=_ROWS,
    )
    cells = {name: table.cells[at] for at, name in enumerate(table.columns)}
    lines = table.lines.tolist()
    known = find_columns(cells, lines)
    mapping: dict[str, Any] = {}
    if encoding != "utf-8":
        mapping["encoding"] = encoding
    if sheet:
        mapping["sheet"] = sheet
    settings = {
        **find_dates(cells, known),
        **_boxes(cells, known),
        **_paths(cells, images, known),
    }
    mapping["columns"] = {
        name: targets[0] if len(targets) == 1 else targets
        for name, targets in known.targets.items()
        if targets != [column_name(name)]
    }
    mapping["values"] = known.values
    mapping["constants"] = known.constants
    used = set(known.targets) | {name for name in cells if _used(name, settings)}
    # Listed by name: a column that is added later should be noticed.
    mapping["ignore"] = [name for name in table.columns if name not in used]
    mapping |= settings
    mapping = {key: value for key, value in mapping.items() if value or value is True}
    TableMapping.model_validate(mapping)
    like = find_likeness(table.columns)
    return Suggestion(mapping, tuple(known.notes), tuple(like), len(lines))


def _encoding_of(uri: str) -> str:
    files, name = split_uri(uri)
    with open_table(files, name, MAXIMUM_STREAMED_BYTES) as path:
        if name.lower().endswith((".parquet", ".xlsx", ".xls")):
            return "utf-8"
        for encoding in ("utf-8", "utf-16", "cp1252"):
            if _decodes(path, encoding):
                return encoding
    return "iso-8859-1"


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    with path.open("rb") as file:
        start = file.read(2)
        if encoding == "utf-16" and start not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return False
        file.seek(0)
        try:
            while chunk := file.read(2**20):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _words(column: TextColumn) -> Iterator[str]:
    return (word for word in column.words if word)


def _boxes(cells: Mapping[str, TextColumn], known: Columns) -> dict[str, Any]:
    numbers = {t for targets in known.targets.values() for t in targets if t.startswith("box_")}
    if numbers and not any(set(columns) == numbers for columns in BOX_COLUMNS):
        for name in [n for n, t in known.targets.items() if {*t} & numbers]:
            del known.targets[name]
    column = known.column_of("lesion_box")
    return _box_form(column, cells[column], known) if column is not None else {}


def _box_form(name: str, column: TextColumn, known: Columns) -> dict[str, Any]:
    boxes: list[Box] = []
    for word in _words(column):
        try:
            boxes += read_boxes(word)
        except ValueError:
            del known.targets[name]
            known.notes.append(f"{name!r} looks like boxes by its name, but not by its cells.")
            return {}
    if not boxes:
        return {}
    if all(max(box) <= 1 for box in boxes):
        return {"boxes": "yolo"}
    corners = all(box[2] > box[0] and box[3] > box[1] for box in boxes)
    top_first = re.search(r"y.{0,6}x", name.casefold()) or column_name(name) == "roi_coords"
    form = ("yxyx" if top_first else "xyxy") if corners else "xywh"
    known.notes.append(
        f"The numbers of {name!r} are read as {form}"
        + (
            ", because the third and fourth are larger than the first and second in every row"
            if corners
            else ""
        )
        + ": compare some boxes with their images on the audit page."
    )
    return {"boxes": form} if form != "xywh" else {}


def _paths(
    cells: Mapping[str, TextColumn], images: SourceFiles | None, known: Columns
) -> dict[str, Any]:
    column = known.column_of("image_path")
    if images is None:
        if column is None:
            known.notes.append(
                "No column is the path of the image: give --images DIR, which shows how files "
                "are named, or say it in `paths.image_path`."
            )
        return {}
    form = find_path_form(cells, images.names(), column)
    if form is None:
        known.notes.append("No row names an existing file: say in `paths.image_path` how they do.")
        return {}
    settings: dict[str, Any] = {}
    if form.text:
        for targets in known.targets.values():
            if "image_path" in targets:
                targets.remove("image_path")
        settings["paths"] = {"image_path": form.text}
        known.targets = {name: targets for name, targets in known.targets.items() if targets}
    elif form.column != column:
        if column is not None:
            known.targets[column].remove("image_path")
        known.targets.setdefault(form.column, []).append("image_path")
        known.targets = {name: targets for name, targets in known.targets.items() if targets}
    missing = form.rows - form.existing
    if missing:
        settings["missing_files"] = "leave_out"
        known.notes.append(
            f"{missing} of {form.rows} rows ({missing / form.rows:.0%}) name a file that does not "
            "exist: they are left out (`missing_files`). Make sure that this is meant."
        )
    if _has_patient_ids(cells, known, form.text, form.column):
        settings["patient_ids_in_paths"] = True
        known.notes.append(
            "Paths contain the patient id, and paths are written into tables and messages: rename "
            "the files, or keep `patient_ids_in_paths`."
        )
    return settings


def _has_patient_ids(
    cells: Mapping[str, TextColumn], known: Columns, template: str, column: str
) -> bool:
    patient = known.column_of("patient_id")
    if patient is None:
        return False
    if re.search(r"\{" + re.escape(patient) + r"[:}]", template):
        return True
    names = [column] if column else re.findall(r"\{([^{}:]+)", template)
    rows = range(min(1000, len(cells[patient].codes)))
    return any(
        contains_patient_id(_cell(cells[name], row), _cell(cells[patient], row))
        for name in names
        for row in rows
    )


def _cell(column: TextColumn, row: int) -> str:
    return str(column.words[column.codes[row]])


def _used(name: str, settings: Mapping[str, Any]) -> bool:
    template = settings.get("paths", {}).get("image_path", "")
    return bool(re.search(r"\{" + re.escape(name) + r"[:}]", template))
