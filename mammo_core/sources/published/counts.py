"""Counts of the images that the tables of a published data set describe."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from mammo_core.sources.identity.cases import UNKNOWN_LABEL, ImageCase

_DENSITIES = {1: "A", 2: "B", 3: "C", 4: "D"}


def count_cases(cases: Sequence[ImageCase]) -> dict[str, Any]:
    """Count images, exams and breasts, and the images of each label, view, density and so on.

    Args:
        cases: The images.

    Returns:
        `counted`: images, exams, breasts, labels (of images, by origin), views, and where the
        tables state any: birads, breast_density, implants, lesions.
    """
    labels = Counter(_label(case) for case in cases)
    views = Counter(case.view or "+".join(case.view_modifiers) or "unknown" for case in cases)
    counts: dict[str, Any] = {
        "images": len(cases),
        "exams": len({(case.patient_key, case.exam_key) for case in cases}),
        "breasts": len({case.breast_id for case in cases}),
        "labels": _sorted(labels),
        "views": _sorted(views),
    }
    birads = Counter(str(case.targets.birads) for case in cases if case.targets.birads is not None)
    if birads:
        counts["birads"] = _sorted(birads)
    densities = Counter(_DENSITIES.get(case.breast_density, "unknown") for case in cases)
    if set(densities) != {"unknown"}:
        counts["breast_density"] = _sorted(densities)
    if any(case.implant is not None for case in cases):
        counts["implants"] = sum(bool(case.implant) for case in cases)
    lesions: Counter[str] = Counter(lesion.lesion_type for case in cases for lesion in case.lesions)
    if lesions:
        counts["lesions"] = _sorted(lesions)
    return {"counted": counts}


def _label(case: ImageCase) -> str:
    if case.malignant == UNKNOWN_LABEL:
        return "none"
    origin = case.targets.label_origin
    word = "malignant" if case.malignant else "not malignant"
    return f"{word} ({origin})" if origin else word


def _sorted(counter: "Counter[str]") -> dict[str, int]:
    return dict(sorted(counter.items()))
