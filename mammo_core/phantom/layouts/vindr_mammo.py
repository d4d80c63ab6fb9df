"""The phantom as VinDr-Mammo is published: breast-level and finding annotations, four views."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mammo_core.phantom.config import PhantomConfig
from mammo_core.phantom.files import uid
from mammo_core.phantom.latent import appearance
from mammo_core.phantom.layouts.csv_text import csv_bytes
from mammo_core.phantom.layouts.layout import (
    DrawnImage,
    Header,
    Layout,
    PlannedImage,
    box_of,
    register_layout,
)
from mammo_core.phantom.layouts.names import hexadecimal
from mammo_core.phantom.layouts.population import four_views, plan_population, view_plan
from mammo_core.phantom.plan import is_dealt

_IMAGE_COLUMNS: Final = (
    "study_id", "series_id", "image_id", "laterality", "view_position", "height", "width",
    "breast_birads", "breast_density", "split",
)  # fmt: skip
_FINDING_COLUMNS: Final = (
    "image_id", "study_id", "series_id", "laterality", "view_position", "height", "width",
    "breast_birads", "breast_density", "finding_categories", "finding_birads", "xmin", "ymin",
    "xmax", "ymax", "split",
)  # fmt: skip
_CATEGORIES: Final = {"mass": "Mass", "calc": "Suspicious Calcification"}
_TEST_SHARE: Final = 0.2
_LOOK: Final = 1


def plan(config: PhantomConfig) -> list[PlannedImage]:
    """Return the images: `images/<study_id>/<image_id>.dicom`.

    Args:
        config: The phantom's parameters.
    """
    images: list[PlannedImage] = []
    dealt = {True: 0, False: 0}
    for patient in plan_population(config, look=_LOOK):
        is_test = is_dealt(dealt[patient.cancer], _TEST_SHARE)
        dealt[patient.cancer] += 1
        study = hexadecimal(config, patient.key, "study")
        series = hexadecimal(config, patient.key, "series")
        for breast, view in four_views(patient.exams[-1]):
            name = f"{patient.key}_{breast.laterality}_{view}"
            image_id = hexadecimal(config, name)
            cells: dict[str, Any] = {
                "study_id": study,
                "series_id": series,
                "image_id": image_id,
                "laterality": breast.laterality[0],
                "view_position": view,
                "height": config.height,
                "width": config.width,
                "breast_birads": f"BI-RADS {breast.birads}",
                "breast_density": f"DENSITY {'ABCD'[patient.density - 1]}",
                "split": "test" if is_test else "training",
            }
            label = {1: 0, 2: 0, 4: 1, 5: 1}.get(breast.birads)
            drawn = view_plan(patient, patient.exams[-1], breast, view)
            header = Header(
                patient_id=study,
                study_uid=uid(config.seed, patient.key, "study"),
                series_uid=uid(config.seed, patient.key, "series"),
                sop_uid=uid(config.seed, name),
                laterality=breast.laterality[0],
                view_position=view,
            )
            path = f"images/{study}/{image_id}.dicom"
            images.append(PlannedImage(path, drawn, cells, label, header))
    return images


def tables(config: PhantomConfig, images: Sequence[DrawnImage]) -> Mapping[str, bytes]:
    """Return both tables of annotations.

    A benign lesion of a breast of BI-RADS 2 is no finding, as published; some findings have a
    category without a patch class, or the box of two.

    Args:
        config: The phantom's parameters.
        images: The images, with the outlines of their lesions.
    """
    findings: list[dict[str, Any]] = []
    for image in images:
        cells, lesions = image.plan.cells, image.plan.view.lesions
        category = int(str(cells["breast_birads"])[-1])
        if category < 3 or not lesions:
            findings.append({**cells, "finding_categories": "['No Finding']"})
            continue
        for lesion, outline in zip(lesions, image.outlines, strict=True):
            names = [_CATEGORIES[lesion.lesion_type]]
            if lesion.lesion_type == "mass" and appearance(lesion.degree) > 0.8:
                names.append("Architectural Distortion")
            left, top, right, bottom = box_of(outline)
            findings.append(
                {
                    **cells,
                    "finding_categories": str(names),
                    "finding_birads": f"BI-RADS {max(3, min(category, lesion.assessment))}",
                    **{"xmin": float(left), "ymin": float(top)},
                    **{"xmax": float(right), "ymax": float(bottom)},
                }
            )
    return {
        "breast-level_annotations.csv": csv_bytes(
            _IMAGE_COLUMNS, (image.plan.cells for image in images)
        ),
        "finding_annotations.csv": csv_bytes(_FINDING_COLUMNS, findings),
    }


register_layout(Layout("vindr_mammo", plan, tables))
