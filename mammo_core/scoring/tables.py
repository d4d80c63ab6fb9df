"""Scores as CSV, JSON or Parquet: per image, breast and patient."""

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

from mammo_core.csv_cells import escape_cell, unescape_cell
from mammo_core.errors import RecipeError

Row = Mapping[str, Any]

_DECISION: Final = ("calibrated_probability", "operating_point", "decision", "no_decision")
_FLAGS: Final = (
    "implant", "partial_view", "specimen", "for_processing", "burned_in",
    "patient_identity_removed",
)  # fmt: skip
#: What an image is, under the names of `dicom.ImageMeaning`.
MEANING_COLUMNS: Final = (
    "view_class", "view_modifiers", "image_type", "body_part", *_FLAGS, "paddle",
    "magnification_factor", "area_mm2",
)  # fmt: skip
IMAGE_COLUMNS: Final = (
    "id", "path", "laterality", "view", "malignant_probability", "model_id", "patient", "exam",
    *_DECISION, "rows", "columns", "bits_stored", "spacing_mm", "transfer_syntax", "photometric",
    "manufacturer", *MEANING_COLUMNS, "unlike_training", "warnings", "heatmap",
)  # fmt: skip
BREAST_COLUMNS: Final = (
    "patient", "exam", "laterality", "views", "images", "malignant_probability", "model_id",
    *_DECISION, "unlike_training",
)  # fmt: skip
PATIENT_COLUMNS: Final = (
    "patient", "exam", "breasts", "images", "malignant_probability", "model_id", *_DECISION,
    "unlike_training",
)  # fmt: skip
REJECT_COLUMNS: Final = ("path", "reason")
#: Further columns of all tables of scores with the record of a site.
SITE_COLUMNS: Final = ("triage", "site")
REGION_COLUMNS: Final = (
    "id", "path", "kind", "rank", "row", "column", "top", "left", "bottom", "right", "area",
    "peak", "mean",
)  # fmt: skip
_FORMATS: Final = (".csv", ".json", ".parquet")
_INTEGERS: Final = {
    "rows", "columns", "bits_stored", "views", "images", "breasts", "rank", "top", "left",
    "bottom", "right", "area",
}  # fmt: skip
_FLOATS: Final = {
    "malignant_probability", "calibrated_probability", "spacing_mm", "row", "column", "peak",
    "mean", "magnification_factor", "area_mm2",
}  # fmt: skip
_CHUNK_ROWS: Final = 4096


def format_of(out: Path) -> str:
    """Return `.csv`, `.json` or `.parquet`.

    Raises:
        RecipeError: The file has another suffix, or is a folder.
    """
    if out.suffix.lower() not in _FORMATS or out.is_dir():
        raise RecipeError(
            "The scores cannot be written",
            expected=f"a file with the suffix {', '.join(_FORMATS)}",
            received=f"the folder {out}" if out.is_dir() else out.name,
        )
    return out.suffix.lower()


def sibling_table(out: Path, what: str, suffix: str = "") -> Path:
    """Return the path of a further table: `scores.breasts.csv` next to `scores.csv`."""
    return out.with_name(f"{out.stem}.{what}{suffix or out.suffix}")


def write_table(path: Path, columns: tuple[str, ...], rows: Iterable[Row]) -> None:
    """Write a table as CSV or Parquet, according to its suffix.

    The file appears when it is complete. Rows are streamed: memory does not depend on their
    number.
    """
    if path.suffix.lower() == ".parquet":
        _write_parquet(path, columns, rows)
        return
    with _atomic_file(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([escape_cell(_text(row.get(name))) for name in columns])


def write_json(path: Path, common: Row, tables: Mapping[str, Iterable[Row]]) -> None:
    """Write one JSON object: common values, and a list of objects for every table."""
    with _atomic_file(path) as file:
        file.write("{\n" + json.dumps(dict(common))[1:-1])
        for name, rows in tables.items():
            file.write(f',\n"{name}": [')
            for number, row in enumerate(rows):
                file.write((",\n" if number else "\n") + json.dumps(dict(row)))
            file.write("]")
        file.write("\n}\n")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a table written by `write_table`."""
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet as pq

        # In this thread only: see `datasets.tables.from_parquet`.
        with pq.ParquetFile(path, pre_buffer=False) as parquet:
            rows: list[dict[str, Any]] = parquet.read(use_threads=False).to_pylist()
        return rows
    with path.open(encoding="utf-8", newline="") as file:
        return [{k: unescape_cell(v or "") for k, v in row.items()} for row in csv.DictReader(file)]


def _write_parquet(path: Path, columns: tuple[str, ...], rows: Iterable[Row]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        **dict.fromkeys(_INTEGERS, pa.int64()),
        **dict.fromkeys(_FLOATS, pa.float64()),
        **dict.fromkeys(_FLAGS, pa.bool_()),
    }
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in columns])
    remaining = iter(rows)
    with _atomic_file(path, binary=True) as file, pq.ParquetWriter(file, schema) as writer:
        while chunk := list(islice(remaining, _CHUNK_ROWS)):
            values = [{name: _cell(row.get(name)) for name in columns} for row in chunk]
            writer.write_table(pa.Table.from_pylist(values, schema=schema))


def _cell(value: Any) -> Any:
    """Return a value as a cell: a list as its texts, warnings as `code: message`."""
    if not isinstance(value, list):
        return value
    return "; ".join(
        f"{item['code']}: {item['message']}" if isinstance(item, Mapping) else str(item)
        for item in value
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6f}" if isinstance(value, float) else str(_cell(value))


@contextmanager
def _atomic_file(final: Path, binary: bool = False) -> Iterator[IO[Any]]:
    """Write a temporary file and rename it to its final name when it is complete."""
    final.parent.mkdir(parents=True, exist_ok=True)
    part = final.with_name(f".{final.name}.{os.getpid()}.part")
    try:
        with part.open("wb") if binary else part.open("w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(final)
    finally:
        part.unlink(missing_ok=True)
