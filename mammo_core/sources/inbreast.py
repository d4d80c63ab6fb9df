"""INbreast: the ';' table, XML contours, and BI-RADS made labels.

Moreira et al., Academic Radiology 2012 (DOI 10.1016/j.acra.2011.09.014). The folder of the
release holds `INbreast.csv`, `AllDICOMs/<file name>_<patient>_MG_<L|R>_<CC|ML>_ANON.dcm` and
`AllXML/<file name>.xml`. Pictures converted to PNG under the same names are read as well.
The table has no patient (`removed`); the patient is the pseudonym in the names of the files.
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from mammo_core.dicom import laterality_of
from mammo_core.errors import DicomError, SourceError
from mammo_core.sources.assemble import ImageCase, LesionCase, assemble
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.csv_rows import CsvTable, read_csv, read_csv_among
from mammo_core.sources.masks import Points, Region, read_regions
from mammo_core.sources.options import InbreastOptions
from mammo_core.sources.source_files import SourceFiles
from mammo_core.sources.source_tables import ProgressCall, Rejects, SourceTables

#: The view that the files and the table call ML is the mediolateral oblique one.
VIEWS: Final = {"CC": "CC", "ML": "MLO", "MLO": "MLO"}
#: File name, patient, side and view of an image file.
FILE_NAME: Final = re.compile(
    r"(?P<number>\d+)_(?P<patient>[0-9a-f]{8,32})_MG_(?P<side>[LR])_(?P<view>CC|ML|MLO)_ANON"
    r"\.(?P<kind>dcm|png|tiff?)",
    re.IGNORECASE,
)
#: What readers called a region → lesion type. The rest has no patch class.
REGIONS: Final[dict[str, Literal["mass", "calc"]]] = {
    "mass": "mass",
    "spiculated region": "mass",
    "spiculated mass": "mass",
    "calcification": "calc",
    "calcifications": "calc",
    "cluster": "calc",
}
#: Columns that are read. Ages and dates are not.
_COLUMNS: Final = ("Laterality", "View", "File Name", "ACR", "Bi-Rads")
#: Pixels of MammoNovation detectors are 0.07 mm wide.
_SPACING_MM: Final = 0.07
#: A calcification not wider than this is a single one (mm).
_SINGLE_MM: Final = 1.0


@dataclass(frozen=True)
class _File:
    path: str
    patient: str
    laterality: str
    view: str


def index_inbreast(
    config: SourceConfig,
    progress: ProgressCall | None = None,
    workers: int | None = None,
    files: SourceFiles | None = None,
) -> SourceTables:
    """Find the images and contours of INbreast.

    An image is malignant by its BI-RADS category, and its lesions are what the image is: the
    data set has no pathology of single lesions. Regions that are neither mass nor
    calcification (distortion, asymmetry, unnamed) are counted under `other_regions` and are
    no lesions. Images of an excluded category are counted under `excluded`.

    Args:
        config: Where they lie (`tables`: the CSV file or its folder; default: under the root).
        progress: Called with what is done, how many, of how many.
        workers: Threads.
        files: The files, where something is known of them; default those of `config`.

    Returns:
        The tables.

    Raises:
        SourceError: No table, or one that cannot be used; no contour file; no image.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    files = files or config.files()
    files.require_root(f"image folder {config.root}")
    options = config.inbreast
    table = _table(config, files)
    found = _images(files)
    contours = _contours(files) if options.contours else {}
    rejects = Rejects()
    labels: dict[str, int] = {
        **dict.fromkeys(options.negative, 0),
        **dict.fromkeys(options.positive, 1),
    }
    cases: list[ImageCase] = []
    excluded: Counter[str] = Counter()
    other: Counter[str] = Counter()
    named: set[str] = set()
    for line, cells in _rows(table):
        item, number = table.place(line), cells["File Name"]
        named.add(number)
        category = cells["Bi-Rads"].lower().replace(" ", "")
        wrong = _wrong_cell(cells, category, labels, options, found.get(number, []))
        if wrong:
            rejects.add(item, "row", wrong)
        elif category not in labels:
            excluded[category] += 1
        else:
            file = found[number][0]
            malignant = labels[category]
            cases.append(
                ImageCase(
                    item=item,
                    path=file.path,
                    patient_key=file.patient,
                    laterality=file.laterality,
                    view=file.view,
                    malignant=malignant,
                    breast_density=int(cells["ACR"] or 0),
                    lesions=_lesions(
                        files, contours.get(number), malignant, int(category[0]), options, other,
                        rejects,
                    ),
                )
            )  # fmt: skip
    facts: dict[str, Any] = {
        "rows": len(table.rows),
        "excluded": dict(sorted(excluded.items())),
        "other_regions": dict(sorted(other.items())),
        "files_without_a_row": len(set(found) - named),
    }
    return assemble(
        files, "inbreast", cases, rejects, facts=facts, progress=progress, workers=workers
    )


def _table(config: SourceConfig, files: SourceFiles) -> CsvTable:
    if config.tables is not None and config.tables.lower().endswith(".csv"):
        return read_csv(config.tables)
    place = files if config.tables is None else SourceFiles.open(config.tables)
    names = [name for name in place.names() if name.rsplit("/", 1)[-1].lower() == "inbreast.csv"]
    if len(names) != 1:
        raise SourceError(
            f"The table of INbreast cannot be found under {config.tables or config.root}",
            expected="one INbreast.csv",
            received=", ".join(names) or "none",
            hint="Say which with source.tables",
        )
    return read_csv_among(place, names[0])


def _rows(table: CsvTable) -> list[tuple[int, dict[str, str]]]:
    wanted = {column.lower().replace(" ", "").replace("-", ""): column for column in _COLUMNS}
    places: dict[str, int] = {}
    for place, column in enumerate(table.columns):
        name = wanted.get(re.sub(r"[\s_-]", "", column.lower()))
        if name is not None:
            places[name] = place
    missing = [column for column in _COLUMNS if column not in places]
    if missing:
        raise SourceError(
            f"The table {table.name} is not that of INbreast",
            expected="the columns " + ", ".join(_COLUMNS) + ", separated by ';'",
            received=f"no column {', '.join(missing)}",
        )
    return [
        (line, {name: cells[at] if at < len(cells) else "" for name, at in places.items()})
        for line, cells in table.rows
    ]


def _wrong_cell(
    cells: dict[str, str],
    category: str,
    labels: dict[str, int],
    options: InbreastOptions,
    found: list[_File],
) -> str:
    """Return what is wrong with a row, or nothing."""

    def told(what: str, expected: str, received: str) -> str:
        return f"{what}. Expected {expected}. Received {received}."

    if category not in labels and category not in options.excluded:
        return told(
            "The BI-RADS category has no meaning",
            f"one of {', '.join([*labels, *options.excluded])}",
            repr(category[:8]),
        )
    if not re.fullmatch(r"[1-4]?", cells["ACR"]):
        return told("The density (ACR) cannot be", "1 to 4, or nothing", repr(cells["ACR"][:8]))
    if category not in labels:
        return ""
    if len(found) != 1:
        return told(
            "The image of the row cannot be told",
            "one file <file name>_<patient>_MG_<side>_<view>_ANON.dcm",
            ", ".join(file.path for file in found) or "no such file",
        )
    side, view = laterality_of(cells["Laterality"]), VIEWS.get(cells["View"].upper())
    if (side, view) != (found[0].laterality, found[0].view):
        return told(
            "Row and file name tell different things",
            f"{found[0].laterality} {found[0].view}, as the file name",
            f"{side or 'an unknown side'} {view or 'and an unknown view'}",
        )
    return ""


def _images(files: SourceFiles) -> dict[str, list[_File]]:
    """Return the files of each file number; DICOM goes before a picture made of it."""
    found: dict[str, list[_File]] = defaultdict(list)
    pictures: dict[str, list[_File]] = defaultdict(list)
    for name in files.names():
        match = FILE_NAME.fullmatch(name.rsplit("/", 1)[-1])
        if match is None:
            continue
        file = _File(
            name,
            match["patient"].lower(),
            laterality_of(match["side"]) or "",
            VIEWS[match["view"].upper()],
        )
        kind = found if match["kind"].lower() == "dcm" else pictures
        kind[match["number"]].append(file)
    if not found and not pictures:
        raise SourceError(
            f"No image of INbreast is under {files.uri}",
            expected="files <file name>_<patient>_MG_<side>_<view>_ANON.dcm, at any depth",
            received="none",
        )
    return {**pictures, **found}


def _contours(files: SourceFiles) -> dict[str, str]:
    """Return the contour file of each file number."""
    found = {
        name.rsplit("/", 1)[-1][:-4]: name
        for name in files.names()
        if name.lower().endswith(".xml")
    }
    if not found:
        raise SourceError(
            f"No contour file of INbreast is under {files.uri}",
            expected="AllXML/<file name>.xml",
            received="none",
            hint="For images without lesions set source.inbreast.contours to false",
        )
    return found


def _lesions(
    files: SourceFiles,
    contour: str | None,
    malignant: int,
    assessment: int,
    options: InbreastOptions,
    other: Counter[str],
    rejects: Rejects,
) -> tuple[LesionCase, ...]:
    if contour is None:  # Images without a finding have none.
        return ()
    try:
        regions = read_regions(files, contour)
    except DicomError as error:
        rejects.add(contour, "lesion", str(error))
        return ()
    kinds = [REGIONS.get(region.name.lower()) for region in regions]
    other.update(
        region.name or "unnamed"
        for region, kind in zip(regions, kinds, strict=True)
        if kind is None
    )
    parts: list[tuple[Literal["mass", "calc"], list[int]]] = [
        ("mass", [number]) for number, kind in enumerate(kinds) if kind == "mass"
    ]
    calcifications = [number for number, kind in enumerate(kinds) if kind == "calc"]
    parts += [("calc", group) for group in grouped(regions, calcifications, options.group_mm)]
    numbers: Counter[str] = Counter()
    lesions: list[LesionCase] = []
    for kind, group in parts:
        numbers[kind] += 1
        mask_path = f"{contour}#{'+'.join(map(str, group))}"
        spiculated = kind == "mass" and "spiculated" in regions[group[0]].name.lower()
        lesions.append(
            LesionCase(
                item=mask_path,
                number=numbers[kind],
                lesion_type=kind,
                pathology="MALIGNANT" if malignant else "BENIGN",
                mask_path=mask_path,
                assessment=assessment,
                mass_margins="SPICULATED" if spiculated else "",
            )
        )
    return tuple(lesions)


def grouped(regions: list[Region], calcifications: list[int], group_mm: float) -> list[list[int]]:
    """Return the calcifications of an image as lesions.

    Readers marked thousands of single calcifications (a point, or an outline of at most
    1 mm). Those within an outlined cluster are part of it; of the others, what lies nearer
    together than `group_mm` is one lesion.

    Args:
        regions: All regions of the image.
        calcifications: Numbers of those that are calcifications.
        group_mm: Distance (mm); 0 leaves every region alone.

    Returns:
        Region numbers of each lesion, ascending, sorted by the first.
    """
    import cv2

    if not group_mm:
        return [[number] for number in calcifications]
    single = [number for number in calcifications if _is_single(regions[number].points)]
    outlined = [number for number in calcifications if number not in set(single)]
    outlines = [regions[number].points.astype(np.float32) for number in outlined]
    centres = {number: regions[number].points.mean(axis=0) for number in single}
    alone = [
        number
        for number in single
        if not any(
            cv2.pointPolygonTest(
                outline, (float(centres[number][0]), float(centres[number][1])), False
            )
            >= 0
            for outline in outlines
        )
    ]
    groups = [[number] for number in outlined]
    left = set(alone)
    for number in alone:
        if number not in left:
            continue
        left.discard(number)
        group, pending = [number], [number]
        while pending:
            here = centres[pending.pop()]
            near = sorted(
                one
                for one in left
                if float(np.hypot(*(centres[one] - here))) * _SPACING_MM <= group_mm
            )
            left.difference_update(near)
            group += near
            pending += near
        groups.append(sorted(group))
    return sorted(groups)


def _is_single(points: Points) -> bool:
    extent = np.ptp(points, axis=0).max() * _SPACING_MM
    return len(points) <= 2 or bool(extent <= _SINGLE_MM)
