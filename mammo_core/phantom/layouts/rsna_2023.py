"""The phantom as RSNA 2023 is published: train.csv, and headers without side, view and class."""

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
from mammo_core.phantom.layouts.names import number
from mammo_core.phantom.layouts.population import (
    Breast,
    Patient,
    four_views,
    plan_population,
    view_plan,
)
from mammo_core.phantom.plan import Projection

_COLUMNS: Final = (
    "site_id", "patient_id", "image_id", "laterality", "view", "age", "cancer", "biopsy",
    "invasive", "BIRADS", "implant", "density", "machine_id", "difficult_negative_case",
)  # fmt: skip
#: Every so many patients have a second MLO image, and another view in place of it.
_SECOND, _OTHER_VIEW = 5, 10
_OTHER_VIEWS: Final = ("AT", "ML", "LM")
_LOOK: Final = 2


def plan(config: PhantomConfig) -> list[PlannedImage]:
    """Return the images: `train_images/<patient_id>/<image_id>.dcm`.

    Args:
        config: The phantom's parameters.
    """
    images: list[PlannedImage] = []
    for patient in plan_population(config, look=_LOOK):
        views: list[tuple[Breast, Projection, str, str]] = [
            (breast, view, view, "") for breast, view in four_views(patient.exams[-1])
        ]
        if patient.index % _SECOND == 2:
            views.append((patient.exams[-1].breasts[0], "MLO", "MLO", "again"))
        if patient.index % _OTHER_VIEW == 3:
            name = _OTHER_VIEWS[patient.index // _OTHER_VIEW % len(_OTHER_VIEWS)]
            views.append((patient.exams[-1].breasts[1], "MLO", name, name))
        for breast, projection, view, copy in views:
            images.append(_image(config, patient, breast, projection, view, copy))
    return images


def _image(
    config: PhantomConfig,
    patient: Patient,
    breast: Breast,
    projection: Projection,
    view: str,
    copy: str,
) -> PlannedImage:
    name = f"{patient.key}_{breast.laterality}_{view}_{copy}"
    patient_id, image_id = str(10006 + 5 * patient.index), number(config, 9, name)
    biopsy = breast.cancer or (bool(breast.lesions) and breast.birads > 2)
    site = 1 + patient.index % 2
    cells: dict[str, Any] = {
        "site_id": site,
        "patient_id": patient_id,
        "image_id": image_id,
        "laterality": breast.laterality[0],
        "view": view,
        "age": f"{patient.age}.0",
        "cancer": int(breast.cancer),
        "biopsy": int(biopsy),
        "invasive": int(breast.cancer and breast.invasive),
        # One site states neither category nor density.
        "BIRADS": {1: "1.0", 2: "2.0"}.get(breast.birads, "0.0") if site == 1 else "",
        "implant": int(patient.implant),
        "density": "ABCD"[patient.density - 1] if site == 1 else "",
        "machine_id": (29, 21, 170)[patient.index % 3],
        "difficult_negative_case": biopsy and not breast.cancer,
    }
    header = Header(
        patient_id=patient_id,
        study_uid=uid(config.seed, patient.key, "study"),
        series_uid=uid(config.seed, patient.key, "series"),
        sop_uid=uid(config.seed, name),
        described=False,
    )
    # Some machines write inverted pictures.
    photometric = "MONOCHROME1" if patient.index % 4 == 1 else "MONOCHROME2"
    drawn = view_plan(
        patient, patient.exams[-1], breast, projection, photometric=photometric, copy=copy
    )
    # The policy leaves out other views by default; the label is that of the breast.
    path = f"train_images/{patient_id}/{image_id}.dcm"
    return PlannedImage(path, drawn, cells, int(breast.cancer), header)


def tables(config: PhantomConfig, images: Sequence[DrawnImage]) -> Mapping[str, bytes]:
    """Return train.csv.

    Args:
        config: The phantom's parameters.
        images: The images.
    """
    return {"train.csv": csv_bytes(_COLUMNS, (image.plan.cells for image in images))}


register_layout(Layout("rsna_2023", plan, tables))
