"""Read CMMD: the table has a row for each breast, the headers have patient, side and view.

The table is `CMMD_clinicaldata_revision.xlsx`, or the same saved as CSV. Images are
`CMMD/<patient>/<date>/<series>/1-n.dcm`; the patient is the folder of that form, else the Patient
ID of the header, which is public. A breast that is not in the table has no label: it was not
biopsied, and nobody followed it up. A patient has one exam.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from mammo_core.dicom import parse_laterality
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.files.image_files import SUFFIXES, describe
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.cases import UNKNOWN_LABEL, ImageCase, Targets
from mammo_core.sources.identity.exams import read_ids
from mammo_core.sources.published.published import Reading
from mammo_core.sources.published.tables import read_table
from mammo_core.sources.tables.source_tables import Rejects, run_all, threads

_TABLES: Final = (
    "CMMD_clinicaldata_revision.xlsx",
    "CMMD_clinicaldata_revision.csv",
    "CMMD_clinicaldata_revision_CSV.csv",
)
_REQUIRED: Final = ("ID1", "LeftRight", "classification")
_OPTIONAL: Final = ("abnormality", "subtype", "number")
_PATIENT: Final = re.compile(r"D[12]-\d{4}")
_LABELS: Final = {"benign": 0, "malignant": 1}
#: Abnormality → types of lesions. Their places are not published.
_TYPES: Final[dict[str, tuple[Literal["mass", "calc"], ...]]] = {
    "mass": ("mass",),
    "calcification": ("calc",),
    "both": ("calc", "mass"),
}


@dataclass(frozen=True)
class _Breast:
    label: int
    types: tuple[str, ...]
    subtype: str


def read_cmmd(config: SourceConfig, files: SourceFiles | None, rejects: Rejects) -> Reading:
    """Read the images of CMMD with the pathology of their breasts.

    Args:
        config: The source.
        files: The files under its root; None reads the table only.
        rejects: What was left out; more is added.

    Raises:
        SourceError: The table is missing or is not the published one.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    breasts, images = _read_breasts(config, rejects)
    counts = {
        "patients": len({patient for patient, _ in breasts}),
        "breasts": len(breasts),
        "malignant_breasts": sum(breast.label for breast in breasts.values()),
        "benign_breasts": sum(not breast.label for breast in breasts.values()),
        "images_of_the_table": images,
        "abnormalities": _count("+".join(breast.types) for breast in breasts.values()),
        "subtypes": _count(breast.subtype for breast in breasts.values()),
    }
    if files is None:
        return Reading([], rejects, counts, in_headers=True)
    cases = _read_images(files, breasts, rejects)
    there = {(case.patient_key, case.laterality) for case in cases}
    counts["breasts_without_an_image"] = len(set(breasts) - there)
    counts["breasts_without_a_row"] = len(there - set(breasts))
    return Reading(cases, rejects, counts)


def _read_breasts(
    config: SourceConfig, rejects: Rejects
) -> tuple[dict[tuple[str, str], _Breast], int]:
    table = read_table(config, _TABLES, _REQUIRED, _OPTIONAL)
    breasts: dict[tuple[str, str], _Breast] = {}
    images = 0
    for item, cells in table.rows(rejects):
        side = parse_laterality(cells["LeftRight"])
        label = _LABELS.get(cells["classification"].lower())
        types = _TYPES.get(cells.get("abnormality", "").lower(), ())
        patient = cells["ID1"].upper()
        if not _PATIENT.fullmatch(patient) or side is None or label is None:
            rejects.add(
                item,
                "row",
                "The row cannot be used. Expected ID1 D1-0001 to D2-9999, LeftRight L or R, and "
                "classification Benign or Malignant. Received another cell.",
            )
            continue
        breast = _Breast(label, types, cells.get("subtype", ""))
        if breasts.get((patient, side), breast).label != label:
            rejects.add(
                item,
                "row",
                "The row contradicts another one of the breast. Expected one classification. "
                "Received two; the first counts.",
            )
            continue
        breasts.setdefault((patient, side), breast)
        number = cells.get("number", "")
        images += int(number) if number.isdigit() else 0
    return breasts, images


def _read_images(
    files: SourceFiles, breasts: dict[tuple[str, str], _Breast], rejects: Rejects
) -> list[ImageCase]:
    names = [name for name in files.names() if name.lower().endswith(SUFFIXES)]
    with threads() as pool:
        described = run_all(pool, lambda name: describe(files, name), names, "headers", None)
    cases: list[ImageCase] = []
    for name, image in zip(names, described, strict=True):
        if image.facts is None:
            rejects.add(name, "image", image.reason)
            continue
        patient = _patient(files, name)
        side = image.facts.laterality
        if not patient or side is None:
            missing = "side" if patient else "patient"
            rejects.add(
                name,
                "image",
                f"Nothing says which {missing} the image shows. Expected a folder or Patient ID "
                "such as D1-0001, and Image Laterality in the header. Received neither.",
            )
            continue
        breast = breasts.get((patient, side))
        cases.append(
            ImageCase(
                item=name,
                paths=(name,),
                patient_key=patient,
                laterality=side,
                view=image.facts.view,
                view_modifiers=image.facts.view_modifiers,
                malignant=breast.label if breast else UNKNOWN_LABEL,
                lesion_types=frozenset(breast.types if breast else ()),
                targets=Targets(
                    label_origin="biopsy" if breast else "",
                    subtype=breast.subtype if breast else "",
                ),
            )
        )
    return cases


def _patient(files: SourceFiles, name: str) -> str:
    """Return the patient of an image, or an empty text."""
    names = _PATIENT.findall(name.upper())
    if names:
        return str(names[-1])
    stated = read_ids(files, name).patient_id.strip().upper()
    return stated if _PATIENT.fullmatch(stated) else ""


def _count(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))
