"""The phantom as CSAW-CC is published: one table, exams by year, cancers of earlier exams ahead."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mammo_core.phantom.config import PhantomConfig
from mammo_core.phantom.files import uid
from mammo_core.phantom.layouts.csv_text import csv_bytes
from mammo_core.phantom.layouts.layout import (
    DrawnImage,
    Header,
    Layout,
    PlannedImage,
    register_layout,
)
from mammo_core.phantom.layouts.population import four_views, plan_population, view_plan

_COLUMNS: Final = (
    "anon_patientid", "exam_year", "x_case", "x_cancer_laterality", "x_type", "x_lymphnode_met",
    "rad_timing", "rad_r1", "rad_r2", "rad_recall", "imagelaterality", "viewposition",
    "libra_percentdensity", "anon_filename",
)  # fmt: skip
_LAST_YEAR: Final = 2015
_LOOK: Final = 5


def plan(config: PhantomConfig) -> list[PlannedImage]:
    """Return the images: `<patient>_20990909_<side>_<view>_<number>.dcm`.

    Args:
        config: The phantom's parameters.
    """
    images: list[PlannedImage] = []
    for patient in plan_population(config, look=_LOOK, priors=1):
        patient_id = f"{patient.index + 1:05d}"
        affected = next(
            (breast.laterality for breast in patient.exams[-1].breasts if breast.cancer), ""
        )
        for exam in patient.exams:
            # Exams are two years apart: an earlier one is a prior, or before an interval cancer.
            timing = (1, 2 if patient.index % 3 == 0 else 3)[exam.years_before > 0]
            for breast, view in four_views(exam):
                name = f"{patient_id}_20990909_{breast.laterality[0]}_{view}_{exam.number}"
                is_affected = breast.laterality == affected
                recalled = int(breast.cancer)
                cells: dict[str, Any] = {
                    "anon_patientid": patient.index + 1,
                    "exam_year": _LAST_YEAR - 2 * exam.years_before,
                    "x_case": int(patient.cancer),
                    "x_cancer_laterality": affected.capitalize(),
                    "x_type": (2 - int(_invasive(patient.exams[-1].breasts)))
                    if patient.cancer
                    else "",
                    "x_lymphnode_met": int(patient.index % 4 == 0) if patient.cancer else "",
                    "rad_timing": timing if patient.cancer else "",
                    **dict.fromkeys(("rad_r1", "rad_r2", "rad_recall"), recalled),
                    "imagelaterality": breast.laterality.capitalize(),
                    "viewposition": view,
                    "libra_percentdensity": 10.0 * patient.density,
                    "anon_filename": f"{name}.dcm",
                }
                label: int | None = int(breast.cancer)
                if patient.cancer and is_affected and timing != 1:
                    label = None
                header = Header(
                    patient_id=patient_id,
                    study_uid=uid(config.seed, patient.key, str(exam.number), "study"),
                    series_uid=uid(config.seed, patient.key, str(exam.number), "series"),
                    sop_uid=uid(config.seed, patient.key, name),
                    laterality=breast.laterality[0],
                    view_position=view,
                )
                drawn = view_plan(patient, exam, breast, view)
                images.append(PlannedImage(f"{name}.dcm", drawn, cells, label, header))
    return images


def _invasive(breasts: Sequence[Any]) -> bool:
    return any(breast.cancer and breast.invasive for breast in breasts)


def tables(config: PhantomConfig, images: Sequence[DrawnImage]) -> Mapping[str, bytes]:
    """Return the table of images.

    Args:
        config: The phantom's parameters.
        images: The images.
    """
    return {
        "CSAW-CC_breast_cancer_screening_data.csv": csv_bytes(
            _COLUMNS, (image.plan.cells for image in images)
        )
    }


register_layout(Layout("csaw_cc", plan, tables, has_exams=True))
