"""What the files of an output say about one patient, and the same files without it."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from mammo_core.csv_cells import unescape_cell
from mammo_core.datasets.tables import from_parquet, to_parquet
from mammo_core.documents import parse_json
from mammo_core.sources.several.names import plain_id

#: Columns whose values name a patient's images, lesions and files.
_NAMES: Final = (
    "image_id", "id", "lesion_id", "patch_id", "view_id", "path", "item", "exam_key", "exam",
)  # fmt: skip
_PATIENTS: Final = ("patient_key", "patient")
#: What is left of a page that may show her images.
REMOVED_PAGE: Final = (
    b"<!doctype html><meta charset=utf-8><title>Removed</title>"
    b"<p>This page was removed: it may have shown images of a patient who was forgotten.\n"
)


@dataclass
class Traces:
    """The names under which a store knows a patient.

    Attributes:
        patient: Her key.
        names: Her key, and the ids and paths of her images, lesions, views and exams.
        images: The ids of her images.
        outputs: The ids of the outputs with tables that name her.
    """

    patient: str
    names: set[str] = field(default_factory=set)
    images: set[str] = field(default_factory=set)
    outputs: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.names.add(self.patient)

    def learn(self, table: pd.DataFrame) -> bool:
        """Add the names in the rows of a table that name the patient; return whether it does."""
        known = False
        for patients in (name for name in _PATIENTS if name in table.columns):
            rows = table[table[patients].astype(str).map(plain_id) == self.patient]
            known |= bool(len(rows))
            for name in (name for name in _NAMES if name in rows.columns):
                self.names |= {str(value) for value in rows[name] if str(value)} - {"nan", "None"}
            for name in ("image_id", "id"):
                if name in rows.columns:
                    self.images |= set(rows[name].astype(str))
        return known

    def is_name(self, text: str) -> bool:
        """Whether a text is, or begins with, a name of the patient."""
        plain = plain_id(text)
        begins = plain.startswith((f"{self.patient}_", f"{self.patient}/"))
        return text in self.names or plain == self.patient or begins

    def mask(self, table: pd.DataFrame) -> "pd.Series[bool]":
        """Return which rows of a table are about the patient."""
        hers = pd.Series(False, index=table.index)
        for name in table.columns:
            if table[name].dtype == object or str(table[name].dtype).startswith("str"):
                hers |= table[name].map(
                    lambda value: isinstance(value, str) and self.is_name(value)
                )
        return hers


def read_tables(name: str, data: bytes) -> Iterator[pd.DataFrame]:
    """Yield the table that a file contains, if it does.

    Args:
        name: Name of the file.
        data: Its content.
    """
    if name.endswith(".parquet"):
        yield from_parquet(data)
    elif name.endswith(".csv"):
        yield _read_csv(data)


def without_patient(name: str, data: bytes, traces: Traces) -> bytes:
    """Return the content of a table or document without a patient; the same if it is without her.

    Args:
        name: Name of the file.
        data: Its content.
        traces: Her names.
    """
    if name.endswith(".parquet"):
        table = from_parquet(data)
        hers = traces.mask(table)
        return to_parquet(table[~hers]) if hers.any() else data
    if name.endswith(".csv"):
        return _csv_without(data, traces)
    if name.endswith(".json") and any(each.encode() in data for each in traces.names):
        return (json.dumps(pruned(parse_json(data), traces), indent=1) + "\n").encode()
    return data


def pruned(value: Any, traces: Traces) -> Any:
    """Return a JSON value without what names a patient.

    Args:
        value: A JSON value.
        traces: Her names.
    """
    if isinstance(value, dict):
        return {
            key: pruned(item, traces)
            for key, item in value.items()
            if not traces.is_name(key) and not (isinstance(item, str) and traces.is_name(item))
        }
    if isinstance(value, list | tuple):
        return [pruned(item, traces) for item in value if not _names_her(item, traces)]
    return value


def _names_her(value: Any, traces: Traces) -> bool:
    """Whether an element of a list is about the patient: a name, or a record with one."""
    if isinstance(value, str):
        return traces.is_name(value)
    if isinstance(value, dict):
        return any(isinstance(item, str) and traces.is_name(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(isinstance(item, str) and traces.is_name(item) for item in value)
    return False


def _read_csv(data: bytes) -> pd.DataFrame:
    rows = list(csv.reader(io.StringIO(data.decode(errors="replace"), newline="")))
    if not rows:
        return pd.DataFrame()
    cells = [[unescape_cell(cell) for cell in row] for row in rows[1:] if len(row) == len(rows[0])]
    return pd.DataFrame(cells, columns=rows[0], dtype=object)


def _csv_without(data: bytes, traces: Traces) -> bytes:
    rows = list(csv.reader(io.StringIO(data.decode(errors="replace"), newline="")))
    kept = [row for row in rows if not any(traces.is_name(unescape_cell(cell)) for cell in row)]
    if len(kept) == len(rows):
        return data
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(kept)
    return text.getvalue().encode()
