"""The body part of an image, from fixed lists."""

import re
from typing import Any, Final

from mammo_core.dicom.headers.values import first_text
from mammo_core.dicom.meanings.meaning import ImageWarning

#: Breast in SNOMED RT and CT (CID 4013), and with its side (CID 6022).
_BREAST_CODES: Final = (
    *("T-04000", "76752008", "T-04020", "73056007", "T-04030", "80248007", "T-04080", "63762007"),
)
#: The breast in the languages of vendors and sites, as parts of words: MAMMA, LEFT BREAST, MAMA.
_BREAST: Final = re.compile(r"breast|mamm|mama|mamo|brust|borst|bryst|brost|\bsein|\bseno|\bpecho")
#: Other body parts of PS3.16 Annex L that X-ray devices send; everything else is `other`.
_OTHERS: Final = (
    "abdomen", "ankle", "arm", "axilla", "brain", "calcaneus", "chest", "clavicle", "coccyx",
    "cspine", "elbow", "extremity", "femur", "finger", "foot", "forearm", "hand", "head", "hip",
    "humerus", "jaw", "knee", "leg", "lspine", "neck", "patella", "pelvis", "rib", "scapula",
    "shoulder", "skull", "spine", "sternum", "thorax", "tspine", "whole body", "wrist",
)  # fmt: skip


def read_body_part(data: Any, warnings: list[ImageWarning]) -> str | None:
    """Return the body part that a header states.

    Args:
        data: The allowed header fields (`FieldValues`).
        warnings: Warnings of the file; a disagreement is added.

    Returns:
        `breast`, another body part in lower case, `other`, or None if there is no statement, or
        one in unknown words from a mammography device.
    """
    text = first_text(data, "BodyPartExamined").strip().lower()
    named = _normalize(text) if text else None
    coded = None
    for item in data.get("AnatomicRegionSequence") or []:
        value, meaning = first_text(item, "CodeValue").strip(), first_text(item, "CodeMeaning")
        if value or meaning:
            coded = "breast" if value in _BREAST_CODES else _normalize(meaning.strip().lower())
            break
    if named and coded and named != coded and "other" not in (named, coded):
        warnings.append(
            ImageWarning(
                code="conflict",
                message=f"Body Part Examined says {named}, Anatomic Region Sequence says {coded}",
            )
        )
    # A region that is coded counts although the text is in another language.
    part = coded if named in (None, "other") and coded else named
    if part == "other" and first_text(data, "Modality").strip().upper() == "MG":
        warnings.append(
            ImageWarning(
                code="unknown_body_part",
                message="The header of a mammography device states an unknown body part",
            )
        )
        return None
    return part


def _normalize(text: str) -> str:
    text = " ".join(text.replace("_", " ").split())
    if _BREAST.search(text):
        return "breast"
    return text if text in _OTHERS else "other"
