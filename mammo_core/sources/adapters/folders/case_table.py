"""The case table of the original system, with its folders of mammograms and masks."""

from collections import defaultdict
from typing import Any, Final, Literal

from mammo_core.dicom import parse_laterality
from mammo_core.dicom.meanings.view_text import read_view_position
from mammo_core.errors import SourceError
from mammo_core.sources.adapters.folders import FoldersOptions
from mammo_core.sources.files.image_files import JPEG_SUFFIXES, SUFFIXES
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.cases import ImageCase, LesionCase
from mammo_core.sources.identity.names import ImageName, read_name
from mammo_core.sources.identity.patients import normalize_id
from mammo_core.sources.tables.csv_table import CsvTable, read_csv
from mammo_core.sources.tables.source_tables import Rejects

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

_View = tuple[str, str, str | None]
_Key = tuple[str, str, str | None, int, str]


def read_case_folders(
    files: SourceFiles,
    tables: str,
    options: FoldersOptions,
    rejects: Rejects,
    facts: dict[str, Any],
) -> list[ImageCase]:
    """Read the case table, and find the mammogram and the mask of each row by their names.

    A type `calc` (or `calcification`) is a calcification, anything else a mass; a pathology
    MALIGNANT is malignant (as in the original's sample_patches_combined.py). `train` or `test`
    in the name of the table is the split (as in the fork).

    Args:
        files: The files of the source.
        tables: The CSV file.
        options: The folders of mammograms and masks.
        rejects: What was left out; more is added.
        facts: Facts of the source; rows are added.

    Returns:
        One case for each file of a view.

    Raises:
        SourceError: The table cannot be used.
    """
    table = read_csv(tables)
    facts["rows"] = len(table.rows)
    table_name = table.name.lower()
    split = "train" if "train" in table_name else "test" if "test" in table_name else ""
    images, masks = _list_files(files, options)
    lesions: dict[_View, list[LesionCase]] = defaultdict(list)
    types: dict[_View, set[str]] = defaultdict(set)
    modifiers: dict[_View, tuple[str, ...]] = {}
    malignant: dict[_View, int] = defaultdict(int)
    for line, cells in _cells(table):
        item = table.row_name(line)
        name = _read_row(cells)
        if isinstance(name, str):
            rejects.add(item, "row", name)
            continue
        view = (name.patient, name.laterality, name.view)
        kind: Literal["mass", "calc"] = "calc" if name.lesion_type == "calc" else "mass"
        pathology = cells["pathology"].upper().replace(" ", "_")
        modifiers[view] = tuple(sorted({*modifiers.get(view, ()), *name.view_modifiers}))
        types[view].add(kind)
        malignant[view] = max(malignant[view], int(pathology == "MALIGNANT"))
        candidates = masks.get((*view, name.number, kind)) or masks.get(
            (*view, name.number, ""), []
        )
        if len(candidates) != 1:
            rejects.add(
                item,
                "lesion",
                "The lesion does not have exactly one mask. Expected one file "
                f"{kind.capitalize()}-Training_<patient>_<side>_<view>_{name.number}.png. "
                f"Received {', '.join(candidates) or 'none'}.",
            )
            continue
        lesions[view].append(LesionCase(item, name.number, kind, pathology, candidates[0]))
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
                    paths=(path,),
                    patient_key=view[0],
                    laterality=view[1],
                    view=view[2],
                    view_modifiers=modifiers[view],
                    malignant=malignant[view],
                    split=split,
                    lesion_types=frozenset(types[view]),
                    # Masks belong to the first file of a view.
                    lesions=() if at else tuple(lesions[view]),
                )
            )
    return cases


def _list_files(
    files: SourceFiles, options: FoldersOptions
) -> tuple[dict[_View, list[str]], dict[_Key, list[str]]]:
    """Return mammograms by view, and masks by view, number and type."""
    images: dict[_View, list[str]] = defaultdict(list)
    masks: dict[_Key, list[str]] = defaultdict(list)
    suffixes = (*SUFFIXES, *JPEG_SUFFIXES) if files.lossy_jpeg else SUFFIXES
    for name in files.names(options.images):
        image = read_name(name) if name.lower().endswith(suffixes) else None
        if image is not None and not image.number:
            images[image.patient, image.laterality, image.view].append(name)
    for name in files.names(options.masks):
        mask = read_name(name) if name.lower().endswith(SUFFIXES) else None
        if mask is not None and mask.number:
            key = (mask.patient, mask.laterality, mask.view, mask.number, mask.lesion_type)
            masks[key].append(name)
    return images, masks


def _cells(table: CsvTable) -> list[tuple[int, dict[str, str]]]:
    header = [column.lower() for column in table.columns]
    positions = {
        name: header.index(spelling)
        for name, spellings in _COLUMNS.items()
        for spelling in spellings
        if spelling in header
    }
    missing = [" or ".join(_COLUMNS[name]) for name in _COLUMNS if name not in positions]
    if missing:
        raise SourceError(
            f"The case table {table.name} lacks columns (line 1)",
            expected="patient_id, side, view, abn_num, pathology, type",
            received=f"no column {', '.join(missing)}",
            hint="For a table of another kind use the source `table`",
        )
    return [
        (line, {name: cells[at] if at < len(cells) else "" for name, at in positions.items()})
        for line, cells in table.rows
    ]


def _read_row(cells: dict[str, str]) -> ImageName | str:
    """Return what a row names, or what is wrong with it; no cell is quoted."""
    side, view = parse_laterality(cells["side"]), read_view_position(cells["view"])
    if not normalize_id(cells["patient"]):
        return "The patient is missing. Expected an id. Received nothing."
    if side is None:
        return "The side is not valid. Expected LEFT or RIGHT. Received another word."
    if not view:
        return "The view is not valid. Expected a view such as CC or MLO. Received another word."
    if not cells["number"].isdigit() or not 1 <= int(cells["number"]) <= 999:
        return "The lesion's number is not valid. Expected 1 to 999. Received something else."
    if cells["pathology"].upper().replace(" ", "_") not in _PATHOLOGIES:
        choices = ", ".join(_PATHOLOGIES)
        return f"The pathology is not valid. Expected {choices}. Received another word."
    kind = "calc" if cells["type"].lower().startswith("calc") else "mass"
    patient = normalize_id(cells["patient"])
    return ImageName(patient, side, view.view, int(cells["number"]), kind, view.modifiers)
