"""Read EMBED: the metadata of its files, joined to the clinical table by exam and side.

The clinical table has a row for each finding, with the side it is on, or none for a negative exam;
a pathology result stands in the row of its finding. `path_severity` 0 is invasive cancer. Images
are `images/cohort_n/<patient>/<study>/<series>/<instance>.dcm`.
"""

import re
from collections import Counter, defaultdict
from datetime import date
from typing import Any, Final

from mammo_core.dicom import parse_laterality
from mammo_core.dicom.meanings.view_text import read_view_position
from mammo_core.sources.adapters.embed import EmbedOptions
from mammo_core.sources.adapters.embed.clinical import (
    CLINICAL_TABLES,
    BreastFindings,
    ExamRecord,
    read_date,
    read_exams,
    whole,
)
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.cases import UNKNOWN_LABEL, ImageCase, LesionCase, Targets
from mammo_core.sources.published.images import ImageFinder, stem_of
from mammo_core.sources.published.published import Reading
from mammo_core.sources.published.tables import read_table
from mammo_core.sources.tables.source_tables import Rejects

_TABLES: Final = ("EMBED_OpenData_metadata_reduced.csv", "EMBED_OpenData_metadata.csv")
_REQUIRED: Final = (
    "empi_anon", "acc_anon", "anon_dicom_path", "FinalImageType", "ImageLateralityFinal",
    "ViewPosition",
)  # fmt: skip
_OPTIONAL: Final = (
    "spot_mag", "num_roi", "ROI_coords", "png_filename", "study_date_anon",
    "ManufacturerModelName",
)  # fmt: skip
#: FinalImageType (letters and digits) → type of the image; 2D is left to the header.
_TYPES: Final[dict[str, Any]] = {
    "2d": None, "": None, "cview": "synthetic", "3d": "tomosynthesis", "roissc": "other",
    "roiss": "other",
}  # fmt: skip
#: `spot_mag` tells spot compression and magnification not apart.
_SPOT: Final = "spot compression"
_YEAR: Final = 365.25

Cells = dict[str, str]


def read_embed(config: SourceConfig, files: SourceFiles | None, rejects: Rejects) -> Reading:
    """Read images, labels and regions of EMBED.

    Args:
        config: The source.
        files: The files under its root; None reads the tables only.
        rejects: What was left out; more is added.

    Raises:
        SourceError: A table is missing or is not the published one.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    options = config.options(EmbedOptions)
    exams, clinical_rows = read_exams(config, rejects)
    courses = _courses(exams, options)
    table = read_table(config, _TABLES, _REQUIRED, _OPTIONAL, others=CLINICAL_TABLES)
    finder = ImageFinder(files)
    counts: Counter[str] = Counter()
    types: Counter[str] = Counter()
    cases: list[ImageCase] = []
    for item, cells in table.rows(rejects):
        fault = _fault(cells, exams)
        if fault:
            rejects.add(item, "row", fault)
            continue
        accession = whole(cells["acc_anon"])
        exam = exams.get(accession, ExamRecord(whole(cells["empi_anon"])))
        exam_date = exam.day or read_date(cells.get("study_date_anon", ""))
        side = parse_laterality(cells["ImageLateralityFinal"]) or ""
        breast = exam.breasts.get(side, BreastFindings())
        label, origin = breast.label(options)
        view = read_view_position(cells["ViewPosition"])
        is_spot = whole(cells.get("spot_mag", "")) == "1"
        types[cells["FinalImageType"] or "unknown"] += 1
        counts["spot"] += is_spot
        modifiers = {*view.modifiers, *([_SPOT] if is_spot else [])}
        to_cancer, to_negative = _follow_up(courses.get(exam.patient), exam_date)
        cases.append(
            ImageCase(
                item=item,
                paths=_find(finder, cells, exam.patient),
                patient_key=exam.patient,
                laterality=side,
                view=view.view,
                view_modifiers=tuple(sorted(modifiers)),
                malignant=label,
                breast_density=exam.density,
                lesions=_lesions(item, cells, breast, label, counts, rejects),
                exam_key=accession,
                exam_date=exam_date,
                pathology_date=breast.result_date if origin == "biopsy" else None,
                image_type=_TYPES[_letters(cells["FinalImageType"])],
                targets=Targets(
                    label_origin=origin if label != UNKNOWN_LABEL else "",
                    birads=breast.birads,
                    invasive=breast.invasive,
                    years_to_cancer=to_cancer,
                    years_to_last_negative_exam=to_negative,
                    machine=cells.get("ManufacturerModelName", ""),
                    race=exam.race,
                    ethnicity=exam.ethnicity,
                    age_band=exam.age_band,
                ),
            )
        )
    return Reading(
        cases,
        rejects,
        {
            "finding_rows": clinical_rows,
            "image_types": dict(sorted(types.items())),
            "spot_images": counts["spot"],
            "regions": counts["regions"],
            "regions_without_a_type": counts["untyped"],
            "races": _count(case.targets.race for case in cases),
            "files_without_a_row": finder.unnamed,
        },
    )


def _fault(cells: Cells, exams: dict[str, ExamRecord]) -> str:
    view = read_view_position(cells["ViewPosition"])
    accession = whole(cells["acc_anon"])
    patient = exams[accession].patient if accession in exams else whole(cells["empi_anon"])
    checks = (
        ("acc_anon", accession.isdigit(), "a number"),
        ("empi_anon", whole(cells["empi_anon"]).isdigit(), "a number"),
        ("empi_anon", whole(cells["empi_anon"]) == patient, "the patient of the clinical table"),
        ("anon_dicom_path", cells["anon_dicom_path"] != "", "a path"),
        ("FinalImageType", _letters(cells["FinalImageType"]) in _TYPES, "2D, C-view, 3D, ROI_SSC"),
        (
            "ImageLateralityFinal",
            parse_laterality(cells["ImageLateralityFinal"]) is not None,
            "L or R",
        ),
        ("ViewPosition", bool(view) or not cells["ViewPosition"], "a view, or nothing"),
    )
    for column, valid, expected in checks:
        if not valid:
            return f"The cell {column} cannot be used. Expected {expected}. Received another value."
    return ""


def _find(finder: ImageFinder, cells: Cells, patient: str) -> tuple[str, ...]:
    paths = finder.find(stem_of(cells["anon_dicom_path"]), [patient])
    picture = cells.get("png_filename", "")
    return paths or (finder.find(stem_of(picture)) if picture else ())


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _lesions(
    item: str,
    cells: Cells,
    breast: BreastFindings,
    label: int,
    counts: "Counter[str]",
    rejects: Rejects,
) -> tuple[LesionCase, ...]:
    """Return the regions of an image: (ymin, xmin, ymax, xmax) each.

    Nothing says which finding a region belongs to, so they have a type only where all findings of
    the breast are of one.
    """
    text = cells.get("ROI_coords", "")
    numbers = [int(number) for number in re.findall(r"\d+", text)] if len(text) < 4096 else [0]
    if not numbers:
        return ()
    if len(numbers) % 4:
        rejects.add(
            item,
            "lesion",
            "ROI_coords cannot be used. Expected four numbers for each region. "
            f"Received {len(numbers)}.",
        )
        return ()
    regions = [numbers[at : at + 4] for at in range(0, len(numbers), 4)]
    counts["regions"] += len(regions)
    only = next(iter(breast.types)) if len(breast.types) == 1 else "other"
    if only == "other" or label == UNKNOWN_LABEL:
        counts["untyped"] += len(regions)
        return ()
    return tuple(
        LesionCase(
            item=item,
            number=number,
            lesion_type=only,
            pathology="",
            mask_path=f"box:{left},{top},{max(1, right - left)},{max(1, bottom - top)}",
            assessment=breast.birads or 0,
        )
        for number, (top, left, bottom, right) in enumerate(regions, start=1)
    )


def _courses(
    exams: dict[str, ExamRecord], options: EmbedOptions
) -> dict[str, tuple[date | None, date | None]]:
    """Return of each patient the date of her first cancer, and of her last exam without one."""
    cancers: dict[str, date] = {}
    negatives: dict[str, list[date]] = defaultdict(list)
    for exam in exams.values():
        cancers_of_exam = [b for b in exam.breasts.values() if b.label(options) == (1, "biopsy")]
        if exam.day is None:
            continue
        if cancers_of_exam:
            cancers[exam.patient] = min(exam.day, cancers.get(exam.patient, exam.day))
        else:
            negatives[exam.patient].append(exam.day)
    courses: dict[str, tuple[date | None, date | None]] = {}
    for patient in {exam.patient for exam in exams.values()}:
        cancer = cancers.get(patient)
        before = [day for day in negatives[patient] if cancer is None or day < cancer]
        courses[patient] = cancer, max(before, default=None)
    return courses


def _follow_up(
    course: tuple[date | None, date | None] | None, day: date | None
) -> tuple[float | None, float | None]:
    """Return the years to the cancer and to the last negative exam, where they are not past."""
    years = [
        round((end - day).days / _YEAR, 2) if end is not None and day is not None else None
        for end in course or (None, None)
    ]
    to_cancer, to_negative = (
        value if value is not None and value >= 0 else None for value in years
    )
    return to_cancer, to_negative


def _count(words: Any) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))
