"""The four case-description tables of CBIS-DDSM as one table.

Lee et al., Sci Data 2017 (DOI 10.1038/sdata.2017.177); the files of TCIA, unchanged. They spell
`breast_density` and `breast density`, end cells in a newline, and write a literal N/A.
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mammo_core.documents import DocumentError, read_bounded
from mammo_core.errors import SourceError
from mammo_core.sources.files.source_files import SourceFiles

if TYPE_CHECKING:  # counting needs no pandas, which takes a second to load
    import pandas as pd

#: File name → (lesion type, official split).
TABLES: Final = {
    "mass_case_description_train_set.csv": ("mass", "train"),
    "mass_case_description_test_set.csv": ("mass", "test"),
    "calc_case_description_train_set.csv": ("calc", "train"),
    "calc_case_description_test_set.csv": ("calc", "test"),
}

#: Bytes of a case table: the largest has half a megabyte.
_MAXIMUM_BYTES: Final = 2**26
#: Column in the tables (underscores read as blanks) → column here.
_COMMON: Final = {
    "patient id": "patient_key",
    "breast density": "breast_density",
    "left or right breast": "laterality",
    "image view": "view",
    "abnormality id": "abnormality_id",
    "abnormality type": "lesion_type",
    "assessment": "assessment",
    "pathology": "pathology",
    "subtlety": "subtlety",
    "image file path": "image_path",
    "cropped image file path": "crop_path",
    "roi mask file path": "mask_path",
}
_BY_TYPE: Final = {
    "mass": {"mass shape": "mass_shape", "mass margins": "mass_margins"},
    "calc": {"calc type": "calc_type", "calc distribution": "calc_distribution"},
}
_WORDS: Final = {
    "laterality": ("LEFT", "RIGHT"),
    "view": ("CC", "MLO"),
    "lesion_type": ("mass", "calcification"),
    "pathology": ("MALIGNANT", "BENIGN", "BENIGN_WITHOUT_CALLBACK"),
}
#: Whole numbers and their range; density 0 and assessment 0 occur.
_NUMBERS: Final = {
    "breast_density": (0, 4),
    "abnormality_id": (1, 99),
    "assessment": (0, 6),
    "subtlety": (0, 5),
}
_PATHS: Final = ("image_path", "crop_path", "mask_path")
_KINDS: Final = ("mass_shape", "mass_margins", "calc_type", "calc_distribution")

#: One row of the case tables: column → cell, numbers as int.
Case = dict[str, Any]


def read_case_tables(tables: "str | Path | SourceFiles", partial: bool = False) -> "pd.DataFrame":
    """Read the four case tables, normalized.

    Args:
        tables: Their folder, file:// or s3:// URI.
        partial: Whether the tables are a part of the collection: some may be missing or
            without rows, if one has a row.

    Returns:
        One row per abnormality and view, as from `read_case_rows`.

    Raises:
        SourceError: A table or column is missing, a table is empty, or a cell is wrong.
    """
    import pandas as pd

    return pd.DataFrame(read_case_rows(tables, partial))


def read_case_rows(tables: "str | Path | SourceFiles", partial: bool = False) -> list[Case]:
    """Read the four case tables, normalized, as plain rows.

    Args:
        tables: Their folder, file:// or s3:// URI.
        partial: Whether the tables are a part of the collection: some may be missing or
            without rows, if one has a row.

    Returns:
        One dict per abnormality and view, in the order mass train, mass test, calc train,
        calc test: table, row (1 is the first below the header), patient_key, laterality,
        view, view_id, abnormality_id, lesion_type (mass|calc), pathology, malignant (0/1),
        assessment, subtlety, breast_density, mass_shape, mass_margins, calc_type,
        calc_distribution, official_split, image_path, crop_path, mask_path.

    Raises:
        SourceError: A table or column is missing, a table is empty, or a cell is wrong.
    """
    files = tables if isinstance(tables, SourceFiles) else SourceFiles.open(str(tables))
    missing = [name for name in TABLES if not files.exists(name)]
    if missing and (not partial or len(missing) == len(TABLES)):
        raise SourceError(
            f"Case tables are missing in {_location(files)}"
            if len(missing) < len(TABLES)
            else f"There is no case table in {_location(files)}",
            expected=", ".join(TABLES),
            received="all but " + ", ".join(missing) if len(missing) < len(TABLES) else "none",
            hint="They are on the CBIS-DDSM page of TCIA (DOI 10.7937/K9/TCIA.2016.7O02S9CY)",
        )
    rows = [row for name in TABLES if name not in missing for row in _read(files, name, partial)]
    if not rows:
        raise SourceError(
            f"The case tables in {_location(files)} are empty",
            expected="at least one row",
            received="none",
        )
    return rows


def _location(files: SourceFiles) -> str:
    return str(files.folder or files.uri)


def _read(files: SourceFiles, table: str, partial: bool) -> list[Case]:
    kind, split = TABLES[table]
    header, lines = _parse(files.local(table), table)
    if not lines and not partial:
        raise SourceError(
            f"The case table {table} is empty",
            expected="at least one row",
            received="a header without rows",
            hint="Set partial if only a part of the collection is meant",
        )
    names = {**_COMMON, **_BY_TYPE[kind]}
    positions = {column.lower().replace("_", " "): at for at, column in enumerate(header)}
    for column in names:
        if column not in positions:
            raise SourceError(
                f"The case table {table} has no column '{column}'",
                expected=", ".join(names),
                received=", ".join(header),
            )
    columns = {name: header[positions[column]] for column, name in names.items()}
    patterns = _patterns(kind)
    rows: list[Case] = []
    for number, line in enumerate(lines, start=1):
        cells = {name: line[positions[column]].strip() for column, name in names.items()}
        cells.update({name: "" for name, cell in cells.items() if cell in ("N/A", "n/a")})
        for name, (pattern, expected) in patterns.items():
            if not pattern.fullmatch(cells[name]) or not _is_in_range(name, cells[name]):
                raise SourceError(
                    f"The case table {table} has a wrong cell in column '{columns[name]}', "
                    f"row {number}",
                    expected=expected,
                    received=repr(cells[name]) if cells[name] else "an empty cell",
                )
        rows.append(
            {
                "table": table,
                "row": number,
                **dict.fromkeys(_KINDS, ""),
                **cells,
                **{name: int(cells[name]) for name in _NUMBERS},
                "lesion_type": kind,
                "malignant": int(cells["pathology"] == "MALIGNANT"),
                "official_split": split,
                "view_id": f"{cells['patient_key']}_{cells['laterality']}_{cells['view']}",
            }
        )
    return rows


def _parse(path: Path, name: str) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a CSV file."""

    def parse_error(received: str) -> SourceError:
        return SourceError(
            f"The case table {name} cannot be parsed",
            expected="a CSV file, UTF-8, with a header and as many cells in every row",
            received=received,
        )

    try:
        text = read_bounded(path, _MAXIMUM_BYTES).decode("utf-8-sig")
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except (DocumentError, UnicodeDecodeError, csv.Error) as error:
        raise parse_error(str(error)) from error
    if not lines:
        raise parse_error("no line")
    header = [column.strip() for column in lines[0]]
    for number, line in enumerate(lines[1:], start=1):
        if len(line) != len(header):
            raise parse_error(f"{len(line)} cells in row {number}, {len(header)} in the header")
    return header, lines[1:]


def _patterns(kind: str) -> dict[str, tuple[re.Pattern[str], str]]:
    """Column → the pattern of its cells, and its description for messages."""
    words = {**_WORDS, "lesion_type": (_WORDS["lesion_type"][kind == "calc"],)}
    return {
        **{
            name: (re.compile("|".join(choices)), " or ".join(choices))
            for name, choices in words.items()
        },
        **{
            name: (re.compile(r"[0-9]{1,3}"), f"a whole number, {low} to {high}")
            for name, (low, high) in _NUMBERS.items()
        },
        "patient_key": (re.compile(r"[A-Za-z0-9_.-]+"), "a pseudonym such as P_00001"),
        **{
            name: (re.compile(r"[^/]+/[^/]+/[^/]+/[^/]+"), "folder/study UID/series UID/file")
            for name in _PATHS
        },
    }


def _is_in_range(name: str, cell: str) -> bool:
    low, high = _NUMBERS.get(name, (0, 0))
    return name not in _NUMBERS or low <= int(cell) <= high


def leaking_patients(cases: "pd.DataFrame | Iterable[Mapping[str, Any]]") -> list[str]:
    """Return the patients that the official split has in train and in test, sorted.

    Args:
        cases: Rows with patient_key and official_split.
    """
    splits: dict[str, set[str]] = defaultdict(set)
    for row in _rows(cases):
        splits[str(row["patient_key"])].add(str(row["official_split"]))
    return sorted(key for key, names in splits.items() if len(names) > 1)


def case_table_facts(cases: "pd.DataFrame | Iterable[Mapping[str, Any]]") -> dict[str, Any]:
    """Count what the case tables contain, without any image.

    Args:
        cases: What `read_case_tables` or `read_case_rows` returns.

    Returns:
        rows, views, patients, splits (train and test: rows, views, malignant views,
        patients), leaking_patients (how many are in both splits), leaking_views (views in both
        splits), test_without_leak (views, malignant, patients), views_with_several_lesions
        and views_with_mass_and_calc. A view is malignant in a split if any of its rows in
        any table of that split is.
    """
    rows = list(_rows(cases))
    leaking = set(leaking_patients(rows))
    by_split = {
        split: [row for row in rows if row["official_split"] == split]
        for split in ("train", "test")
    }
    lesions: dict[str, set[tuple[str, int]]] = defaultdict(set)
    view_splits: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        lesions[row["view_id"]].add((row["lesion_type"], row["abnormality_id"]))
        view_splits[row["view_id"]].add(row["official_split"])
    return {
        "rows": len(rows),
        "views": len(lesions),
        "patients": len({row["patient_key"] for row in rows}),
        "splits": {
            split: {"rows": len(members), **_count(members)} for split, members in by_split.items()
        },
        "leaking_patients": len(leaking),
        "leaking_views": sum(len(names) > 1 for names in view_splits.values()),
        "test_without_leak": _count(
            row for row in by_split["test"] if row["patient_key"] not in leaking
        ),
        "views_with_several_lesions": sum(len(members) > 1 for members in lesions.values()),
        "views_with_mass_and_calc": sum(
            len({kind for kind, _ in members}) > 1 for members in lesions.values()
        ),
    }


def _rows(cases: "pd.DataFrame | Iterable[Mapping[str, Any]]") -> Iterable[Mapping[Any, Any]]:
    to_dict = getattr(cases, "to_dict", None)
    return to_dict("records") if to_dict is not None else cases


def _count(rows: Iterable[Mapping[Any, Any]]) -> dict[str, int]:
    malignant: dict[str, int] = defaultdict(int)
    patients = set()
    for row in rows:
        malignant[row["view_id"]] |= int(row["malignant"])
        patients.add(row["patient_key"])
    return {
        "views": len(malignant),
        "malignant": sum(malignant.values()),
        "patients": len(patients),
    }
