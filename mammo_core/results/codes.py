"""Coded concepts of the results; what no standard scheme has is in the scheme 99MAMMO.

docs/dicom-results.md lists ours.
"""

from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept

#: Code → meaning. Designators that begin with 99 are private (PS3.16 8).
OURS: Final = {
    "SCORE": "Malignant probability, uncalibrated",
    "patch classifier": "Heatmap of the patch classifier",
    "occlusion": "Heatmap by occlusion",
    "HEAT-PEAK": "Highest heat of a region",
    "HEAT-MEAN": "Mean heat of a region",
    "DECISION": "Decision at the operating point",
    "NO-DECISION": "Why there is no decision",
    "TRIAGE": "Group of the triage of the site",
    "low": "Low",
    "unsure": "Unsure",
    "high": "High",
    "WARNING": "Warning about an image",
    "GRAY-LEVELS": "Gray levels compared with those of training images",
    "UNLIKE": "Unlike training images",
    "flips_not_evaluated": "The model was not evaluated with these flips",
    "several_models": "No operating point was chosen for these models",
    "no_operating_point": "The model has no operating point",
    "unlike_training": "The image is unlike the training images",
}
SCHEME: Final = "99MAMMO"
#: PS3.16 CID 244.
_SIDES: Final = {"LEFT": ("7771000", "Left"), "RIGHT": ("24028007", "Right")}
_MAXIMUM_MEANING: Final = 64


@cache
def ours(code: str) -> "CodedConcept":
    """Return a concept of our scheme."""
    return concept(code, SCHEME, OURS[code])


def concept(value: str, scheme: str, meaning: str) -> "CodedConcept":
    """Return a concept; a meaning of more than 64 characters (PS3.5 6.2, LO) is cut."""
    from highdicom.sr import CodedConcept

    return CodedConcept(value, scheme, ascii_text(meaning)[:_MAXIMUM_MEANING])


def side(laterality: str) -> "CodedConcept | None":
    """Return the concept of LEFT or RIGHT; None for anything else."""
    known = _SIDES.get(laterality)
    return concept(known[0], "SCT", known[1]) if known else None


def ascii_text(text: str) -> str:
    """Return a text that is the same in every character set of DICOM."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text).replace("\\", "/")
