"""The case table of the original system, with its folders of mammograms and masks."""

from collections import defaultdict
from typing import Any, Final, Literal

from mammo_core.dicom import laterality_of, view_of
from mammo_core.errors import SourceError
from mammo_core.sources.assemble import SUFFIXES, ImageCase, LesionCase
from mammo_core.sources.csv_rows import CsvTable, read_csv
from mammo_core.sources.names import ImageName, read_name
from mammo_core.sources.options import FoldersOptions
from mammo_core.sources.source_files import SourceFiles
from mammo_core.sources.source_tables import Rejects

#: Column → its spellings in the original and in the fork.
_COLUMNS: Final = {
    "patient": ("patient_id", "patient id"),
    "side": ("side", "left or right breast"),
    "view": ("view", "image view"),
    "number": ("abn_num", "abnormality id"),
    "type": ("type", "abnormality type"),
    "pathology": ("pathology",),
}
_PATHOLOGIES: Final = ("MALIGNANT", "BENIGN", "BENIGN_WITHOUT_CALLBACK")

_View = tuple[str, str, str]
_Key = tuple[str, str, str, int, str]


def read_case_folders(
    files: SourceFiles,
    tables: str,
    options: FoldersOptions,
    rejects: Rejects,
    facts: dict[str, Any],
) -> list[ImageCase]:
    """Read the case table, and find the mammogram and the mask of each row by their names.

    A type `calc` (or `calcification`) is a calcification, anything else a mass; a pathology
    MALIGNANT is malignant (original system). A name of the table with `train` or `test` in
    it names the split (the fork).

    Args:
        files: The files of the source.
        tables: The CSV file.
        options: Where mammograms and masks lie.
        rejects: What was left out; more is added.
        facts: What is known of the source; rows are added.

    Returns:
        One case for each file of a view.

    Raises:
        SourceError: A table that cannot be used.
    """
    table = read_csv(tables)
    facts["rows"] = len(table.rows)
    name = table.name.lower()
    split = "train" if "train" in name else "test" if "test" in name else ""
    images, masks = _named(files, options)
    lesions: dict[_View, list[LesionCase]] = defaultdict(list)
    types: dict[_View, set[str]] = defaultdict(set)
    malignant: dict[_View, int] = defaultdict(int)
    for line, cells in _cells(table):
        item = table.place(line)
        read = _read(cells)
        if isinstance(read, str):
            rejects.add(item, "row", read)
            continue
        view = (read.patient, read.laterality, read.view)
        kind: Literal["mass", "calc"] = "calc" if read.lesion_type == "calc" else "mass"
        pathology = cells["pathology"].upper().replace(" ", "_")
        types[view].add(kind)
        malignant[view] = max(malignant[view], int(pathology == "MALIGNANT"))
        found = masks.get((*view, read.number, kind), []) or masks.get((*view, read.number, ""), [])
        if len(found) != 1:
            rejects.add(
                item,
                "lesion",
                "The mask of the lesion cannot be told. Expected one file "
                f"{kind.capitalize()}-Training_<patient>_<side>_<view>_{read.number}.png. "
                f"Received {', '.join(found) or 'none'}.",
            )
            continue
        lesions[view].append(LesionCase(item, read.number, kind, pathology, found[0]))
    cases: list[ImageCase] = []
    for view in malignant:
        if not images.get(view):
            rejects.add(
                f"{table.name}, a view {view[1]} {view[2]}",
                "image",
                "The mammogram of a view is missing. Expected <patient>_<side>_<view>.png. "
                "Received none.",
            )
        for at, path in enumerate(images.get(view, [])):
            cases.append(
                ImageCase(
                    item=path,
                    path=path,
                    patient_key=view[0],
                    laterality=view[1],
                    view=view[2],
                    malignant=malignant[view],
                    split=split,
                    lesion_types=frozenset(types[view]),
                    # Masks go with the first file of a view.
                    lesions=() if at else tuple(lesions[view]),
                )
            )
    return cases


def _named(
    files: SourceFiles, options: FoldersOptions
) -> tuple[dict[_View, list[str]], dict[_Key, list[str]]]:
    """Return mammograms by view, and masks by view, number and type."""
    images: dict[_View, list[str]] = defaultdict(list)
    masks: dict[_Key, list[str]] = defaultdict(list)
    for name in files.names(options.images):
        told = read_name(name) if name.lower().endswith(SUFFIXES) else None
        if told is not None and not told.number:
            images[told.patient, told.laterality, told.view].append(name)
    for name in files.names(options.masks):
        told = read_name(name) if name.lower().endswith(SUFFIXES) else None
        if told is not None and told.number:
            place = (told.patient, told.laterality, told.view, told.number, told.lesion_type)
            masks[place].append(name)
    return images, masks


def _cells(table: CsvTable) -> list[tuple[int, dict[str, str]]]:
    header = [column.lower() for column in table.columns]
    places = {
        name: header.index(spelling)
        for name, spellings in _COLUMNS.items()
        for spelling in spellings
        if spelling in header
    }
    missing = [" or ".join(_COLUMNS[name]) for name in _COLUMNS if name not in places]
    if missing:
        raise SourceError(
            f"The case table {table.name} lacks columns (line 1)",
            expected="patient_id, side, view, abn_num, pathology, type",
            received=f"none called {', '.join(missing)}",
            hint="For a table of another kind use the source `table`",
        )
    return [
        (line, {name: cells[at] if at < len(cells) else "" for name, at in places.items()})
        for line, cells in table.rows
    ]


def _read(cells: dict[str, str]) -> ImageName | str:
    """Return what a row names, or what is wrong with it; no cell is quoted."""
    side, view = laterality_of(cells["side"]), view_of(cells["view"])
    if not cells["patient"]:
        return "The patient is missing. Expected an id. Received nothing."
    if side is None:
        return "The side cannot be. Expected LEFT or RIGHT. Received another word."
    if view is None:
        return "The view cannot be. Expected CC or MLO. Received another word."
    if not cells["number"].isdigit() or not 1 <= int(cells["number"]) <= 999:
        return "The lesion's number cannot be. Expected 1 or more. Received something else."
    if cells["pathology"].upper().replace(" ", "_") not in _PATHOLOGIES:
        return (
            f"The pathology cannot be. Expected {', '.join(_PATHOLOGIES)}. Received another word."
        )
    kind = "calc" if cells["type"].lower().startswith("calc") else "mass"
    return ImageName(cells["patient"], side, view, int(cells["number"]), kind)
