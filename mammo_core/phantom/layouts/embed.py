"""The phantom as EMBED is published: metadata of files, findings of exams, C-View beside 2D."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Final

from mammo_core.phantom.config import PhantomConfig
from mammo_core.phantom.files import uid
from mammo_core.phantom.layouts.csv_text import csv_bytes
from mammo_core.phantom.layouts.layout import (
    DrawnImage,
    Header,
    Layout,
    PlannedImage,
    box_of,
    register_layout,
)
from mammo_core.phantom.layouts.names import number
from mammo_core.phantom.layouts.population import (
    Breast,
    Patient,
    PlannedExam,
    four_views,
    plan_population,
    view_plan,
)
from mammo_core.phantom.looks import LOOKS
from mammo_core.phantom.plan import Projection

_METADATA: Final = (
    "anon_dicom_path", "empi_anon", "acc_anon", "study_date_anon", "StudyDescription",
    "SeriesDescription", "FinalImageType", "ImageLateralityFinal", "ViewPosition", "spot_mag",
    "ManufacturerModelName", "num_roi", "ROI_coords", "match_level",
)  # fmt: skip
_CLINICAL: Final = (
    "empi_anon", "acc_anon", "study_date_anon", "desc", "tissueden", "asses", "numfind", "side",
    "massshape", "massmargin", "calcfind", "calcdistri", "bside", "procdate_anon",
    "path_severity", "RACE_DESC", "ETHNIC_GROUP_DESC", "age_at_study",
)  # fmt: skip
_ASSESSMENTS: Final = "ANBPSMK"
_RACES: Final = (
    "African American  or Black",
    "Caucasian or White",
    "Asian",
    "Unknown, Unavailable",
)
_PREFIX: Final = "/mnt/NAS2/mammo/anon_dicom/cohort_1"
#: Every so many patients have a C-View beside a 2D image, and every so many a spot view.
_CVIEW, _SPOT = 3, 5
_SYNTHETIC: Final = next(at for at, look in enumerate(LOOKS) if look.synthetic)
_FIRST_DAY: Final = date(2013, 3, 4)
_LOOK: Final = 4


def plan(config: PhantomConfig) -> list[PlannedImage]:
    """Return the images: `images/cohort_1/<patient>/<study>/<series>/<instance>.dcm`.

    Args:
        config: The phantom's parameters.
    """
    images: list[PlannedImage] = []
    for patient in plan_population(config, look=_LOOK, priors=1):
        for exam in patient.exams:
            for breast, view in four_views(exam):
                images.append(_image(config, patient, exam, breast, view, "2D"))
                if patient.index % _CVIEW == 1 and view == "CC":
                    images.append(_image(config, patient, exam, breast, view, "cview"))
            if patient.index % _SPOT == 2 and not exam.years_before:
                images.append(_image(config, patient, exam, exam.breasts[0], "CC", "spot"))
    return images


def _day(patient: Patient, exam: PlannedExam) -> date:
    return _FIRST_DAY + timedelta(days=17 * patient.index + 400 * (exam.number - 1))


def _label(breast: Breast) -> int | None:
    if breast.cancer:
        return 1
    if breast.birads == 3 and breast.lesions:  # its pathology result is benign
        return 0
    return {1: 0, 2: 0, 4: 1, 5: 1}.get(breast.birads)


def _image(
    config: PhantomConfig,
    patient: Patient,
    exam: PlannedExam,
    breast: Breast,
    view: Projection,
    kind: str,
) -> PlannedImage:
    drawn = view_plan(patient, exam, breast, view, copy="spot" if kind == "spot" else "")
    if kind == "cview":
        drawn = replace(drawn, vendor=_SYNTHETIC)
    key = f"{patient.key}_{exam.number}"
    name = f"{key}_{breast.laterality}_{view}_{kind}"
    empi, accession = number(config, 8, patient.key), number(config, 16, key)
    study, series = uid(config.seed, key, "study"), uid(config.seed, name, "series")
    sop = uid(config.seed, name)
    end = f"{empi}/{study}/{series}/{sop}.dcm"
    cells: dict[str, Any] = {
        "anon_dicom_path": f"{_PREFIX}/{end}",
        "empi_anon": empi,
        "acc_anon": accession,
        "study_date_anon": _day(patient, exam).isoformat(),
        "StudyDescription": "MG Screening Bilateral",
        "SeriesDescription": f"{breast.laterality[0]} {view}"
        + (" C-View" if kind == "cview" else ""),
        "FinalImageType": "cview" if kind == "cview" else "2D",
        "ImageLateralityFinal": breast.laterality[0],
        "ViewPosition": view,
        "spot_mag": "1.0" if kind == "spot" else "",
        "ManufacturerModelName": "mammo phantom",
        "tissueden": f"{patient.density}.0",
        "patient": patient,
        "exam": exam,
    }
    header = Header(
        patient_id=empi,
        study_uid=study,
        series_uid=series,
        sop_uid=sop,
        laterality=breast.laterality[0],
        view_position=view,
        synthetic=kind == "cview",
    )
    return PlannedImage(f"images/cohort_1/{end}", drawn, cells, _label(breast), header)


def tables(config: PhantomConfig, images: Sequence[DrawnImage]) -> Mapping[str, bytes]:
    """Return the metadata of the files, and the findings of the exams.

    Args:
        config: The phantom's parameters.
        images: The images, with the outlines of their lesions.
    """
    metadata: list[dict[str, Any]] = []
    findings: dict[str, list[dict[str, Any]]] = {}
    for image in images:
        cells = dict(image.plan.cells)
        patient, exam = cells.pop("patient"), cells.pop("exam")
        boxes = [box_of(outline) for outline in image.outlines]
        regions = ", ".join(
            f"({top}, {left}, {bottom}, {right})" for left, top, right, bottom in boxes
        )
        metadata.append(
            {
                **cells,
                "num_roi": len(boxes),
                "ROI_coords": f"({regions},)" if len(boxes) == 1 else f"({regions})",
                "match_level": str([1] * len(boxes)) if boxes else "",
            }
        )
        if cells["acc_anon"] not in findings:
            findings[cells["acc_anon"]] = _findings(cells, patient, exam)
    return {
        "tables/EMBED_OpenData_metadata.csv": csv_bytes(_METADATA, metadata),
        "tables/EMBED_OpenData_clinical.csv": csv_bytes(
            _CLINICAL, (row for rows in findings.values() for row in rows)
        ),
    }


def _findings(
    cells: Mapping[str, Any], patient: Patient, exam: PlannedExam
) -> list[dict[str, Any]]:
    """Return the rows of an exam: one without a side if both breasts are negative."""
    shared: dict[str, Any] = {
        **{name: cells[name] for name in ("empi_anon", "acc_anon", "study_date_anon", "tissueden")},
        "desc": "MG Screening Bilateral",
        "RACE_DESC": _RACES[patient.index % len(_RACES)],
        "ETHNIC_GROUP_DESC": ("Non-Hispanic or Latino", "Hispanic or Latino")[
            patient.index % 7 == 3
        ],
        "age_at_study": f"{patient.age - exam.years_before}.0",
    }
    categories = {breast.birads for breast in exam.breasts}
    if len(categories) == 1 and not any(breast.lesions for breast in exam.breasts):
        return [{**shared, "asses": _ASSESSMENTS[categories.pop()], "numfind": 1, "side": ""}]
    rows: list[dict[str, Any]] = []
    for breast in exam.breasts:
        kinds: list[str] = [lesion.lesion_type for lesion in breast.lesions] or [""]
        for kind in kinds:
            rows.append(
                {
                    **shared,
                    "asses": _ASSESSMENTS[breast.birads],
                    "numfind": len(rows) + 1,
                    "side": breast.laterality[0],
                    "massshape": "X" if kind == "mass" else "",
                    "calcfind": "I" if kind == "calc" else "",
                    **_pathology(cells, breast),
                }
            )
    return rows


def _pathology(cells: Mapping[str, Any], breast: Breast) -> dict[str, Any]:
    if not breast.cancer and not (breast.birads == 3 and breast.lesions):
        return {}
    severity = (0 if breast.invasive else 1) if breast.cancer else 4
    result = date.fromisoformat(str(cells["study_date_anon"])) + timedelta(days=20)
    return {
        "bside": breast.laterality[0],
        "procdate_anon": result.isoformat(),
        "path_severity": f"{severity}.0",
    }


register_layout(Layout("embed", plan, tables, has_exams=True))
