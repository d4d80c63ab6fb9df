"""The phantom as BCDR is published: 8-bit TIFF, outlines, blanks before cells, oblique views."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mammo_core.phantom.config import PhantomConfig
from mammo_core.phantom.layouts.csv_text import csv_bytes
from mammo_core.phantom.layouts.layout import DrawnImage, Layout, PlannedImage, register_layout
from mammo_core.phantom.layouts.population import four_views, plan_population, view_plan

_IMAGES: Final = (
    "patient_id", "study_id", "series", "image_filename", "image_type_name", "image_type_id",
    "age", "density",
)  # fmt: skip
_OUTLINES: Final = (
    "patient_id", "study_id", "series", "lesion_id", "segmentation_id", "image_view",
    "image_filename", "lw_x_points", "lw_y_points", "mammography_type", "mammography_nodule",
    "mammography_calcification", "mammography_microcalcification",
    "mammography_axillary_adenopathy", "mammography_architectural_distortion",
    "mammography_stroma_distortion", "age", "density", "classification",
)  # fmt: skip
#: Views in the order in which both tables count them, from 0 and from 1.
_VIEWS: Final = ("RCC", "LCC", "RO", "LO")
_LOOK: Final = 2


def plan(config: PhantomConfig) -> list[PlannedImage]:
    """Return the images: `patient_n/study_n/img_….tif` beside the tables.

    Args:
        config: The phantom's parameters.
    """
    images: list[PlannedImage] = []
    for patient in plan_population(config, look=_LOOK, priors=0):
        for exam in patient.exams:
            has_result = {breast.laterality: bool(breast.lesions) for breast in exam.breasts}
            for breast, view in four_views(exam):
                name = f"{breast.laterality[0]}{'O' if view == 'MLO' else 'CC'}"
                at = _VIEWS.index(name)
                patient_id, study_id = patient.index + 1, 100 * (patient.index + 1) + exam.number
                path = (
                    f"patient_{patient_id}/study_{study_id}/"
                    f"img_{patient_id}_{study_id}_{at}_{name}.tif"
                )
                cells: dict[str, Any] = {
                    "patient_id": patient_id,
                    "study_id": study_id,
                    "series": 1,
                    "image_filename": f" {path}",
                    "image_type_name": f" {name}",
                    "image_type_id": at,
                    "image_view": at + 1,
                    "age": patient.age,
                    "density": f" {patient.density}" if patient.index % 9 != 4 else " NaN",
                }
                # A lesion of an earlier exam that became malignant is malignant in its outline.
                malignant = any(lesion.malignant for lesion in breast.lesions)
                label = int(malignant) if has_result[breast.laterality] else None
                drawn = view_plan(patient, exam, breast, view, bits_stored=8)
                images.append(PlannedImage(f"BCDR-D01_dataset/{path}", drawn, cells, label))
    return images


def tables(config: PhantomConfig, images: Sequence[DrawnImage]) -> Mapping[str, bytes]:
    """Return the table of images and that of outlines.

    Args:
        config: The phantom's parameters.
        images: The images, with the outlines of their lesions.
    """
    outlines: list[dict[str, Any]] = []
    for image in images:
        for number, (lesion, corners) in enumerate(
            zip(image.plan.view.lesions, image.outlines, strict=True), start=1
        ):
            is_mass = lesion.lesion_type == "mass"
            outlines.append(
                {
                    **image.plan.cells,
                    "lesion_id": number,
                    "segmentation_id": len(outlines) + 1,
                    # Every number has a blank before it.
                    "lw_x_points": "".join(f" {x}" for x in corners[:, 0]),
                    "lw_y_points": "".join(f" {y}" for y in corners[:, 1]),
                    "mammography_type": 1,
                    "mammography_nodule": int(is_mass),
                    "mammography_calcification": int(not is_mass and not lesion.malignant),
                    "mammography_microcalcification": int(not is_mass and lesion.malignant),
                    "mammography_axillary_adenopathy": 0,
                    "mammography_architectural_distortion": 0,
                    "mammography_stroma_distortion": 0,
                    "classification": " Malign" if lesion.malignant else " Benign",
                }
            )
    return {
        "BCDR-D01_dataset/bcdr_d01_img.csv": csv_bytes(
            _IMAGES, (image.plan.cells for image in images)
        ),
        "BCDR-D01_dataset/bcdr_d01_outlines.csv": csv_bytes(_OUTLINES, outlines),
    }


register_layout(Layout("bcdr", plan, tables, has_exams=True))
