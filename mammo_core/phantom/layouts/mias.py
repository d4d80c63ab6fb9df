"""The phantom as MIAS is published: Info.txt, pairs of MLO films as PGM, circles from below."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import cv2

from mammo_core.phantom.config import PhantomConfig
from mammo_core.phantom.layouts.layout import DrawnImage, Layout, PlannedImage, register_layout
from mammo_core.phantom.layouts.population import plan_population, view_plan

_HEAD: Final = (
    "1st column: MIAS database reference number.",
    "2nd column: Character of background tissue: F Fatty, G Fatty-glandular, D Dense-glandular",
    "3rd column: Class of abnormality present",
    "4th column: Severity of abnormality: B Benign, M Malignant",
    "5th, 6th columns: x, y image-coordinates of center of abnormality.",
    "7th column: Approximate radius (in pixels) of a circle enclosing the abnormality.",
    "NOTES: coordinate system origin is the bottom-left corner.",
    "",
)
_LOOK: Final = 0


def plan(config: PhantomConfig) -> list[PlannedImage]:
    """Return the images: `mdb001.pgm` and so on, the left breast first.

    Args:
        config: The phantom's parameters.
    """
    images: list[PlannedImage] = []
    for patient in plan_population(config, look=_LOOK):
        for at, breast in enumerate(patient.exams[-1].breasts):  # left, right
            name = f"mdb{2 * patient.index + at + 1:03d}"
            cells: dict[str, Any] = {
                "image": name,
                "tissue": "FGDD"[patient.density - 1],
                # Some benign calcifications are listed without a place.
                "placed": patient.index % 6 != 5,
            }
            drawn = view_plan(patient, patient.exams[-1], breast, "MLO", bits_stored=8)
            images.append(PlannedImage(f"{name}.pgm", drawn, cells, int(breast.cancer)))
    return images


def tables(config: PhantomConfig, images: Sequence[DrawnImage]) -> Mapping[str, bytes]:
    """Return Info.txt: a line for each abnormality, or one for a normal film.

    Args:
        config: The phantom's parameters.
        images: The images, with the outlines of their lesions.
    """
    lines = list(_HEAD)
    for image in images:
        cells, lesions = image.plan.cells, image.plan.view.lesions
        start = f"{cells['image']} {cells['tissue']}"
        if not lesions:
            lines.append(f"{start} NORM")
        for lesion, outline in zip(lesions, image.outlines, strict=True):
            kind = "CALC"
            if lesion.lesion_type == "mass":
                kind = "SPIC" if lesion.malignant else "CIRC"
            line = f"{start} {kind} {'M' if lesion.malignant else 'B'}"
            if cells["placed"] or kind != "CALC":
                (x, y), radius = cv2.minEnclosingCircle(outline.astype("float32"))
                line += f" {round(x)} {config.height - round(y)} {math.ceil(radius + 0.5)}"
            lines.append(line)
    return {"Info.txt": ("\n".join(lines) + "\n").encode()}


register_layout(Layout("mias", plan, tables))
