"""The four case-description tables of CBIS-DDSM as one table.

Lee et al., Sci Data 2017 (DOI 10.1038/sdata.2017.177); files of TCIA, byte-exact. Their
habits: `breast_density` and `breast density`, cells that end in a newline, literal N/A.
"""

from pathlib import Path
from typing import Any, Final

import pandas as pd

from mammo_core.errors import SourceError

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


def read_cases(tables_dir: str | Path, partial: bool = False) -> pd.DataFrame:
    """Read the four case tables, normalised.

    Args:
        tables_dir: The folder that holds them.
        partial: Whether a part of the data set is meant: tables may be missing or hold no
            row, as long as one holds a row.

    Returns:
        One row per abnormality and view, in the order mass train, mass test, calc train,
        calc test: table, row (1 is the first below the header), patient_key, laterality,
        view, view_id, abnormality_id, lesion_type (mass|calc), pathology, malignant (0/1),
        assessment, subtlety, breast_density, mass_shape, mass_margins, calc_type,
        calc_distribution, official_split, image_path, crop_path, mask_path.

    Raises:
        SourceError: No or a missing table, an empty table, a missing column, a cell that
            cannot be.
    """
    folder = Path(tables_dir)
    missing = [name for name in TABLES if not (folder / name).is_file()]
    if missing and (not partial or len(missing) == len(TABLES)):
        raise SourceError(
            f"Case tables are missing in {folder}"
            if len(missing) < len(TABLES)
            else f"There is no case table in {folder}",
            expected=", ".join(TABLES),
            received="all but " + ", ".join(missing) if len(missing) < len(TABLES) else "none",
            hint="They are on the CBIS-DDSM page of TCIA (DOI 10.7937/K9/TCIA.2016.7O02S9CY)",
        )
    tables = [_read(folder / name, partial) for name in TABLES if name not in missing]
    cases = pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)
    if cases.empty:
        raise SourceError(
            f"The case tables in {folder} are empty", expected="at least one row", received="none"
        )
    return cases


def _read(path: Path, partial: bool) -> pd.DataFrame:
    kind, split = TABLES[path.name]
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise SourceError(
            f"The case table {path.name} cannot be parsed",
            expected="a CSV file, UTF-8, with a header",
            received=str(error).strip() or type(error).__name__,
        ) from error
    if table.empty and not partial:
        raise SourceError(
            f"The case table {path.name} is empty",
            expected="at least one row",
            received="a header without rows",
            hint="Say partial when only a part of the data set is meant",
        )
    table.columns = pd.Index([str(column).strip() for column in table.columns])
    wanted = {**_COMMON, **_OF_TYPE[kind]}
    found = {column.lower().replace("_", " "): column for column in table.columns}
    for column in wanted:
        if column not in found:
            raise SourceError(
                f"The case table {path.name} has no column '{column}'",
                expected=", ".join(wanted),
                received=", ".join(table.columns),
            )
    cells = pd.DataFrame(
        {name: table[found[column]].astype(str).str.strip() for column, name in wanted.items()}
    ).replace({"N/A": "", "n/a": ""})
    for name in ("mass_shape", "mass_margins", "calc_type", "calc_distribution"):
        if name not in cells:
            cells[name] = ""
    _check(cells, path.name, {name: found[column] for column, name in wanted.items()}, kind)
    for name in _NUMBERS:
        cells[name] = cells[name].astype(int)
    cells["lesion_type"] = kind
    cells["malignant"] = (cells["pathology"] == "MALIGNANT").astype(int)
    cells["official_split"] = split
    cells["view_id"] = cells["patient_key"] + "_" + cells["laterality"] + "_" + cells["view"]
    cells.insert(0, "table", path.name)
    cells.insert(1, "row", range(1, len(cells) + 1))
    return cells


def _check(cells: pd.DataFrame, table: str, columns: dict[str, str], kind: str) -> None:
    """Raise at the first cell that cannot be."""
    words = {**_WORDS, "lesion_type": (_WORDS["lesion_type"][kind == "calc"],)}
    for name, allowed in words.items():
        _refuse(~cells[name].isin(allowed), cells, table, name, columns, " or ".join(allowed))
    for name, (low, high) in _NUMBERS.items():
        whole = cells[name].str.fullmatch(r"\d{1,3}")
        value = pd.to_numeric(cells[name].where(whole, "-1"))
        wrong = (value < low) | (value > high)
        _refuse(wrong, cells, table, name, columns, f"a whole number, {low} to {high}")
    key = ~cells["patient_key"].str.fullmatch(r"[A-Za-z0-9_.-]+")
    _refuse(key, cells, table, "patient_key", columns, "a pseudonym such as P_00001")
    for name in _PATHS:
        wrong = ~cells[name].str.fullmatch(r"[^/]+/[^/]+/[^/]+/[^/]+")
        _refuse(wrong, cells, table, name, columns, "folder/study UID/series UID/file")


def _refuse(
    wrong: "pd.Series[bool]",
    cells: pd.DataFrame,
    table: str,
    name: str,
    columns: dict[str, str],
    expected: str,
) -> None:
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise SourceError(
            f"The case table {table} has a wrong cell in column '{columns[name]}', row {row + 1}",
            expected=expected,
            received=repr(cells[name].iloc[row]) if cells[name].iloc[row] else "an empty cell",
        )


def leaking_patients(cases: pd.DataFrame) -> list[str]:
    """Return the patients that the official split has on both sides, sorted.

    Args:
        cases: Rows with patient_key and official_split.
    """
    sides = cases.groupby("patient_key")["official_split"].nunique()
    return sorted(str(key) for key in sides[sides > 1].index)


def case_facts(cases: pd.DataFrame) -> dict[str, Any]:
    """Count what the case tables hold, without any image.

    Args:
        cases: What `read_cases` returns.

    Returns:
        rows, views, patients, splits (train and test: rows, views, malignant views,
        patients), leaking_patients (how many are on both sides) and test_without_leak
        (views, malignant, patients). A view is malignant on a side if any of its rows in
        any table of that side is.
    """
    leaking = leaking_patients(cases)
    sides = {side: cases[cases["official_split"] == side] for side in ("train", "test")}
    test = sides["test"]
    return {
        "rows": len(cases),
        "views": int(cases["view_id"].nunique()),
        "patients": int(cases["patient_key"].nunique()),
        "splits": {side: {"rows": len(rows), **_count(rows)} for side, rows in sides.items()},
        "leaking_patients": len(leaking),
        "test_without_leak": _count(test[~test["patient_key"].isin(leaking)]),
    }


def _count(rows: pd.DataFrame) -> dict[str, int]:
    views = rows.groupby("view_id")["malignant"].max()
    return {
        "views": len(views),
        "malignant": int(views.sum()),
        "patients": int(rows["patient_key"].nunique()),
    }
