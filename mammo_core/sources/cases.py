"""The four case-description tables of CBIS-DDSM as one table.

Lee et al., Sci Data 2017 (DOI 10.1038/sdata.2017.177); files of TCIA, byte-exact. Their
habits: `breast_density` and `breast density`, cells that end in a newline, literal N/A.
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mammo_core.errors import SourceError
from mammo_core.sources.source_files import SourceFiles

if TYPE_CHECKING:  # counting needs no pandas, which takes a second to load
    import pandas as pd

#: File name → (lesion type, official split).
TABLES: Final = {
    "mass_case_description_train_set.csv": ("mass", "train"),
    "mass_case_description_test_set.csv": ("mass", "test"),
    "calc_case_description_train_set.csv": ("calc", "train"),
    "calc_case_description_test_set.csv": ("calc", "test"),
}

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
_OF_TYPE: Final = {
    "mass": {"mass shape": "mass_shape", "mass margins": "mass_margins"},
    "calc": {"calc type": "calc_type", "calc distribution": "calc_distribution"},
}
_WORDS: Final = {
    "laterality": ("LEFT", "RIGHT"),
    "view": ("CC", "MLO"),
    "lesion_type": ("mass", "calcification"),
    "pathology": ("MALIGNANT", "BENIGN", "BENIGN_WITHOUT_CALLBACK"),
}
#: Whole numbers and their range; density 0 and assessment 0 do occur.
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


def read_cases(tables: "str | Path | SourceFiles", partial: bool = False) -> "pd.DataFrame":
    """Read the four case tables, normalised.

    Args:
        tables: Where they lie: a folder, file:// or s3:// URI.
        partial: Whether a part of the data set is meant: tables may be missing or hold no
            row, as long as one holds a row.

    Returns:
        One row per abnormality and view, as `read_case_rows` gives them.

    Raises:
        SourceError: No or a missing table, an empty table, a missing column, a cell that
            cannot be.
    """
    import pandas as pd

    return pd.DataFrame(read_case_rows(tables, partial))


def read_case_rows(tables: "str | Path | SourceFiles", partial: bool = False) -> list[Case]:
    """Read the four case tables, normalised, as plain rows.

    Args:
        tables: Where they lie: a folder, file:// or s3:// URI.
        partial: Whether a part of the data set is meant: tables may be missing or hold no
            row, as long as one holds a row.

    Returns:
        One dict per abnormality and view, in the order mass train, mass test, calc train,
        calc test: table, row (1 is the first below the header), patient_key, laterality,
        view, view_id, abnormality_id, lesion_type (mass|calc), pathology, malignant (0/1),
        assessment, subtlety, breast_density, mass_shape, mass_margins, calc_type,
        calc_distribution, official_split, image_path, crop_path, mask_path.

    Raises:
        SourceError: No or a missing table, an empty table, a missing column, a cell that
            cannot be.
    """
    files = tables if isinstance(tables, SourceFiles) else SourceFiles.open(str(tables))
    missing = [name for name in TABLES if not files.exists(name)]
    if missing and (not partial or len(missing) == len(TABLES)):
        raise SourceError(
            f"Case tables are missing in {_told(files)}"
            if len(missing) < len(TABLES)
            else f"There is no case table in {_told(files)}",
            expected=", ".join(TABLES),
            received="all but " + ", ".join(missing) if len(missing) < len(TABLES) else "none",
            hint="They are on the CBIS-DDSM page of TCIA (DOI 10.7937/K9/TCIA.2016.7O02S9CY)",
        )
    cases = [row for name in TABLES if name not in missing for row in _read(files, name, partial)]
    if not cases:
        raise SourceError(
            f"The case tables in {_told(files)} are empty",
            expected="at least one row",
            received="none",
        )
    return cases


def _told(files: SourceFiles) -> str:
    return str(files.folder or files.uri)


def _read(files: SourceFiles, name: str, partial: bool) -> list[Case]:
    kind, split = TABLES[name]
    header, lines = _parse(files.local(name), name)
    if not lines and not partial:
        raise SourceError(
            f"The case table {name} is empty",
            expected="at least one row",
            received="a header without rows",
            hint="Say partial when only a part of the data set is meant",
        )
    wanted = {**_COMMON, **_OF_TYPE[kind]}
    found = {column.lower().replace("_", " "): place for place, column in enumerate(header)}
    for column in wanted:
        if column not in found:
            raise SourceError(
                f"The case table {name} has no column '{column}'",
                expected=", ".join(wanted),
                received=", ".join(header),
            )
    columns = {own: header[found[column]] for column, own in wanted.items()}
    checks = _checks(kind)
    rows: list[Case] = []
    for number, line in enumerate(lines, start=1):
        cells = {own: line[found[column]].strip() for column, own in wanted.items()}
        cells.update({own: "" for own, cell in cells.items() if cell in ("N/A", "n/a")})
        for own, (pattern, expected) in checks.items():
            if not pattern.fullmatch(cells[own]) or not _in_range(own, cells[own]):
                raise SourceError(
                    f"The case table {name} has a wrong cell in column '{columns[own]}', "
                    f"row {number}",
                    expected=expected,
                    received=repr(cells[own]) if cells[own] else "an empty cell",
                )
        rows.append(
            {
                "table": name,
                "row": number,
                **dict.fromkeys(_KINDS, ""),
                **cells,
                **{own: int(cells[own]) for own in _NUMBERS},
                "lesion_type": kind,
                "malignant": int(cells["pathology"] == "MALIGNANT"),
                "official_split": split,
                "view_id": f"{cells['patient_key']}_{cells['laterality']}_{cells['view']}",
            }
        )
    return rows


def _parse(path: Path, name: str) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a CSV file."""

    def fault(received: str) -> SourceError:
        return SourceError(
            f"The case table {name} cannot be parsed",
            expected="a CSV file, UTF-8, with a header and as many cells in every row",
            received=received,
        )

    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise fault(str(error)) from error
    if not lines:
        raise fault("no line")
    header = [column.strip() for column in lines[0]]
    for number, line in enumerate(lines[1:], start=1):
        if len(line) != len(header):
            raise fault(f"{len(line)} cells in row {number}, {len(header)} in the header")
    return header, lines[1:]


def _checks(kind: str) -> dict[str, tuple[re.Pattern[str], str]]:
    """Column → what a cell has to look like, and how that is told."""
    words = {**_WORDS, "lesion_type": (_WORDS["lesion_type"][kind == "calc"],)}
    return {
        **{own: (re.compile("|".join(told)), " or ".join(told)) for own, told in words.items()},
        **{
            own: (re.compile(r"[0-9]{1,3}"), f"a whole number, {low} to {high}")
            for own, (low, high) in _NUMBERS.items()
        },
        "patient_key": (re.compile(r"[A-Za-z0-9_.-]+"), "a pseudonym such as P_00001"),
        **{
            own: (re.compile(r"[^/]+/[^/]+/[^/]+/[^/]+"), "folder/study UID/series UID/file")
            for own in _PATHS
        },
    }


def _in_range(own: str, cell: str) -> bool:
    low, high = _NUMBERS.get(own, (0, 0))
    return own not in _NUMBERS or low <= int(cell) <= high


def leaking_patients(cases: "pd.DataFrame | Iterable[Mapping[str, Any]]") -> list[str]:
    """Return the patients that the official split has on both sides, sorted.

    Args:
        cases: Rows with patient_key and official_split.
    """
    sides: dict[str, set[str]] = defaultdict(set)
    for row in _rows(cases):
        sides[str(row["patient_key"])].add(str(row["official_split"]))
    return sorted(key for key, names in sides.items() if len(names) > 1)


def case_facts(cases: "pd.DataFrame | Iterable[Mapping[str, Any]]") -> dict[str, Any]:
    """Count what the case tables hold, without any image.

    Args:
        cases: What `read_cases` or `read_case_rows` returns.

    Returns:
        rows, views, patients, splits (train and test: rows, views, malignant views,
        patients), leaking_patients (how many are on both sides), leaking_views (views on both
        sides), test_without_leak (views, malignant, patients), views_with_several_lesions
        and views_with_mass_and_calc. A view is malignant on a side if any of its rows in
        any table of that side is.
    """
    rows = list(_rows(cases))
    leaking = set(leaking_patients(rows))
    sides = {side: [r for r in rows if r["official_split"] == side] for side in ("train", "test")}
    lesions: dict[str, set[tuple[str, int]]] = defaultdict(set)
    on: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        lesions[row["view_id"]].add((row["lesion_type"], row["abnormality_id"]))
        on[row["view_id"]].add(row["official_split"])
    return {
        "rows": len(rows),
        "views": len(lesions),
        "patients": len({row["patient_key"] for row in rows}),
        "splits": {side: {"rows": len(own), **_count(own)} for side, own in sides.items()},
        "leaking_patients": len(leaking),
        "leaking_views": sum(len(names) > 1 for names in on.values()),
        "test_without_leak": _count(r for r in sides["test"] if r["patient_key"] not in leaking),
        "views_with_several_lesions": sum(len(own) > 1 for own in lesions.values()),
        "views_with_mass_and_calc": sum(
            len({kind for kind, _ in own}) > 1 for own in lesions.values()
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
