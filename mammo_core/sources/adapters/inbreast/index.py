"""Index INbreast.

The folder of the release holds `INbreast.csv`,
`AllDICOMs/<file name>_<patient>_MG_<L|R>_<CC|ML>_ANON.dcm` and `AllXML/<file name>.xml`. Images
converted to PNG, TIFF or PGM under the same names are read as well. The table has no patient
(`removed`); the patient is the pseudonym in the names of the files.
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import Any, Final

from mammo_core.dicom import parse_laterality
from mammo_core.errors import SourceError
from mammo_core.sources.adapters.inbreast import FILE_NAME, VIEWS, InbreastOptions
from mammo_core.sources.adapters.inbreast.contours import list_contour_files, read_lesions
from mammo_core.sources.assemble import assemble
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.cases import ImageCase, Targets
from mammo_core.sources.tables.csv_table import CsvTable, read_csv, read_csv_among
from mammo_core.sources.tables.source_tables import ProgressCall, Rejects, SourceTables

#: Columns that are read. Ages are not.
_COLUMNS: Final = ("Laterality", "View", "File Name", "ACR", "Bi-Rads")
#: Tells the exams of a patient apart (year and month), and is neither kept nor written.
_DATE: Final = "Acquisition date"


@dataclass(frozen=True)
class _ImageFile:
    path: str
    patient: str
    laterality: str
    view: str


def index_inbreast(
    config: SourceConfig,
    files: SourceFiles,
    progress: ProgressCall | None = None,
    workers: int | None = None,
) -> SourceTables:
    """Find the images and contours of INbreast.

    An image is malignant by its BI-RADS category, and its lesions are what the image is: the
    collection has no pathology of single lesions. Regions that are neither mass nor
    calcification (distortion, asymmetry, unnamed) are counted under `other_regions` and are
    not lesions. Images of an excluded category are counted under `excluded`.

    Args:
        config: The source (`tables`: the CSV file or its folder; by default under the root).
        files: The files under its root.
        progress: Called with what is being done, how many are done, and of how many.
        workers: Threads.

    Returns:
        The tables.

    Raises:
        SourceError: The table is missing or cannot be used; there is no contour file or image.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    options = config.options(InbreastOptions)
    table = _read_table(config, files)
    image_files = _list_images(files)
    contours = list_contour_files(files) if options.contours else {}
    rejects = Rejects()
    labels: dict[str, int] = {
        **dict.fromkeys(options.negative, 0),
        **dict.fromkeys(options.positive, 1),
    }
    cases: list[ImageCase] = []
    months: list[str] = []
    excluded: Counter[str] = Counter()
    other_regions: Counter[str] = Counter()
    named: set[str] = set()
    for line, cells in _rows(table):
        item, number = table.row_name(line), cells["File Name"]
        named.add(number)
        category = cells["Bi-Rads"].lower().replace(" ", "")
        fault = _fault(cells, category, labels, options, image_files.get(number, []))
        if fault:
            rejects.add(item, "row", fault)
            continue
        if category not in labels:
            excluded[category] += 1
            continue
        file = image_files[number][0]
        malignant = labels[category]
        lesions = read_lesions(
            files,
            contours.get(number),
            malignant=malignant,
            assessment=int(category[0]),
            group_mm=options.group_mm,
            other_regions=other_regions,
            rejects=rejects,
        )
        cases.append(
            ImageCase(
                item=item,
                paths=(file.path,),
                patient_key=file.patient,
                laterality=file.laterality,
                view=file.view,
                malignant=malignant,
                breast_density=int(cells["ACR"] or 0),
                lesions=lesions,
                targets=Targets(label_origin="birads", birads=int(category[0])),
            )
        )
        months.append(cells.get(_DATE, ""))
    cases = _with_exams(cases, months)
    facts: dict[str, Any] = {
        "rows": len(table.rows),
        "excluded": dict(sorted(excluded.items())),
        "other_regions": dict(sorted(other_regions.items())),
        "files_without_a_row": len(set(image_files) - named),
    }
    return assemble(
        files,
        "inbreast",
        cases,
        rejects,
        facts=facts,
        header_views=VIEWS,
        progress=progress,
        workers=workers,
    )


def _with_exams(cases: list[ImageCase], months: list[str]) -> list[ImageCase]:
    """Number the exams of the patients who have several, by the months of their images."""
    by_patient: dict[str, set[str]] = defaultdict(set)
    for case, month in zip(cases, months, strict=True):
        by_patient[case.patient_key].add(month)
    return [
        replace(case, exam_key=str(sorted(by_patient[case.patient_key]).index(month) + 1))
        if len(by_patient[case.patient_key]) > 1 and "" not in by_patient[case.patient_key]
        else case
        for case, month in zip(cases, months, strict=True)
    ]


def _read_table(config: SourceConfig, files: SourceFiles) -> CsvTable:
    if config.tables is not None and config.tables.lower().endswith(".csv"):
        return read_csv(config.tables)
    folder = files if config.tables is None else SourceFiles.open(config.tables)
    names = [name for name in folder.names() if name.rsplit("/", 1)[-1].lower() == "inbreast.csv"]
    if len(names) != 1:
        raise SourceError(
            f"There is no single table of INbreast under {config.tables or config.root}",
            expected="one INbreast.csv",
            received=", ".join(names) or "none",
            hint="Name it with source.tables",
        )
    return read_csv_among(folder, names[0])


def _rows(table: CsvTable) -> list[tuple[int, dict[str, str]]]:
    names = {
        column.lower().replace(" ", "").replace("-", ""): column for column in (*_COLUMNS, _DATE)
    }
    positions: dict[str, int] = {}
    for at, column in enumerate(table.columns):
        name = names.get(re.sub(r"[\s_-]", "", column.lower()))
        if name is not None:
            positions[name] = at
    missing = [column for column in _COLUMNS if column not in positions]
    if missing:
        raise SourceError(
            f"The table {table.name} is not the table of INbreast",
            expected="the columns " + ", ".join(_COLUMNS) + ", separated by ';'",
            received=f"no column {', '.join(missing)}",
        )
    return [
        (line, {name: cells[at] if at < len(cells) else "" for name, at in positions.items()})
        for line, cells in table.rows
    ]


def _fault(
    cells: dict[str, str],
    category: str,
    labels: dict[str, int],
    options: InbreastOptions,
    image_files: list[_ImageFile],
) -> str:
    """Return what is wrong with a row, or nothing."""
    if category not in labels and category not in options.excluded:
        categories = ", ".join([*labels, *options.excluded])
        return (
            "The BI-RADS category has no meaning. "
            f"Expected one of {categories}. Received {category[:8]!r}."
        )
    if not re.fullmatch(r"[1-4]?", cells["ACR"]):
        return (
            "The density (ACR) is not valid. "
            f"Expected 1 to 4, or nothing. Received {cells['ACR'][:8]!r}."
        )
    if category not in labels:
        return ""
    if len(image_files) != 1:
        names = ", ".join(file.path for file in image_files)
        return (
            "The row does not have exactly one image. Expected one file "
            "<file name>_<patient>_MG_<side>_<view>_ANON.dcm. "
            f"Received {names or 'no such file'}."
        )
    file = image_files[0]
    laterality, view = parse_laterality(cells["Laterality"]), VIEWS.get(cells["View"].upper())
    if (laterality, view) != (file.laterality, file.view):
        return (
            f"The row contradicts the file name. Expected {file.laterality} {file.view}, as in "
            f"the file name. Received {laterality or 'an unknown side'} "
            f"{view or 'and an unknown view'}."
        )
    return ""


def _list_images(files: SourceFiles) -> dict[str, list[_ImageFile]]:
    """Return the files of each file number; a DICOM file is preferred to a converted image."""
    originals: dict[str, list[_ImageFile]] = defaultdict(list)
    converted: dict[str, list[_ImageFile]] = defaultdict(list)
    for name in files.names():
        match = FILE_NAME.fullmatch(name.rsplit("/", 1)[-1])
        if match is None:
            continue
        file = _ImageFile(
            name,
            match["patient"].lower(),
            parse_laterality(match["side"]) or "",
            VIEWS[match["view"].upper()],
        )
        by_number = originals if match["kind"].lower() == "dcm" else converted
        by_number[match["number"]].append(file)
    if not originals and not converted:
        raise SourceError(
            f"No image of INbreast is under {files.uri}",
            expected="files <file name>_<patient>_MG_<side>_<view>_ANON.dcm, at any depth",
            received="none",
        )
    return {**converted, **originals}
