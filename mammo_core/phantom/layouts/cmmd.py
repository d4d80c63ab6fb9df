"""The phantom as CMMD is published: a table of breasts, 8-bit images, side and view in headers."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mammo_core.phantom.config import PhantomConfig
from mammo_core.phantom.files import uid
from mammo_core.phantom.layouts.layout import (
    DrawnImage,
    Header,
    Layout,
    PlannedImage,
    register_layout,
)
from mammo_core.phantom.layouts.population import four_views, plan_population, view_plan
from mammo_core.phantom.layouts.workbook import workbook_bytes

_COLUMNS: Final = (
    "ID1", "LeftRight", "Age", "number", "abnormality", "classification", "subtype"
)  # fmt: skip
_ABNORMALITIES: Final[dict[tuple[str, ...], str]] = {("mass",): "mass", ("calc",): "calcification"}
_SUBTYPES: Final = ("Luminal A", "Luminal B", "HER2-enriched", "triple negative")
_LOOK: Final = 3


def plan(config: PhantomConfig) -> list[PlannedImage]:
    """Return the images: `CMMD/<patient>/<date>/<series>/1-n.dcm`.

    Patients of the first part have the affected breast only, those of the second part both. A
    patient without a lesion has a benign result in one breast: the table has no others.

    Args:
        config: The phantom's parameters.
    """
    images: list[PlannedImage] = []
    for patient in plan_population(config, look=_LOOK):
        part = 1 + (patient.index % 2)
        patient_id = f"D{part}-{patient.index // 2 + 1:04d}"
        exam = patient.exams[-1]
        affected = next((b for b in exam.breasts if b.lesions), exam.breasts[0]).laterality
        views = [
            (breast, view)
            for breast, view in four_views(exam)
            if part == 2 or breast.laterality == affected
        ]
        study = uid(config.seed, patient.key, "study")
        series = uid(config.seed, patient.key, "series")
        folder = f"CMMD/{patient_id}/07-18-2010-NA-NA-{study[-5:]}/1.000000-NA-{series[-5:]}"
        for position, (breast, view) in enumerate(views, start=1):
            types: tuple[str, ...] = tuple(
                sorted({lesion.lesion_type for lesion in breast.lesions})
            )
            is_listed = breast.laterality == affected
            cells: dict[str, Any] = {
                "ID1": patient_id,
                "LeftRight": breast.laterality[0],
                "Age": patient.age,
                "number": 2,
                "abnormality": _ABNORMALITIES.get(types, "both" if types else "mass"),
                "classification": "Malignant" if breast.cancer else "Benign",
                # Only the second part has subtypes.
                "subtype": _SUBTYPES[patient.index // 2 % 4] if part == 2 and breast.cancer else "",
                "listed": is_listed,
            }
            header = Header(
                patient_id=patient_id,
                study_uid=study,
                series_uid=series,
                sop_uid=uid(config.seed, patient.key, breast.laterality, view),
                laterality=breast.laterality[0],
                view_code=view,
                study_date="20100718",
            )
            drawn = view_plan(patient, exam, breast, view, bits_stored=8)
            label = int(breast.cancer) if is_listed else None
            images.append(PlannedImage(f"{folder}/1-{position}.dcm", drawn, cells, label, header))
    return images


def tables(config: PhantomConfig, images: Sequence[DrawnImage]) -> Mapping[str, bytes]:
    """Return the table of breasts, a workbook.

    Args:
        config: The phantom's parameters.
        images: The images.
    """
    breasts = {
        (image.plan.cells["ID1"], image.plan.cells["LeftRight"]): image.plan.cells
        for image in images
        if image.plan.cells["listed"]
    }
    return {"CMMD_clinicaldata_revision.xlsx": workbook_bytes(_COLUMNS, breasts.values())}


register_layout(Layout("cmmd", plan, tables))
