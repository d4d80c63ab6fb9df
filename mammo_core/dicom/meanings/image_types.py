"""What kind of picture an image is: a digital mammogram, a synthetic one, film, contrast."""

import re
from typing import Any, Final

from mammo_core.dicom.headers.values import first_text, texts
from mammo_core.dicom.meanings.meaning import ImageType, ImageWarning
from mammo_core.dicom.meanings.paddles import read_paddle

#: Storage classes (PS3.4 B.5).
MAMMOGRAPHY: Final = ("1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.1.2.1")
#: Breast Tomosynthesis, and Breast Projection X-Ray: its projections.
TOMOSYNTHESIS: Final = (
    "1.2.840.10008.5.1.4.1.1.13.1.3",
    "1.2.840.10008.5.1.4.1.1.13.1.4",
    "1.2.840.10008.5.1.4.1.1.13.1.5",
)
_SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
#: Computed Radiography, Digital X-Ray For Presentation and For Processing.
_RADIOGRAPHY: Final = (
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1.1",
)

#: Starts of values of Image Type of a biopsy (PS3.3 tables C.8-74a and C.8.21.6-1a).
_BIOPSY: Final = ("STEREO_", "TOMO_SCOUT", "PREFIRE", "POSTFIRE", "POSTBIOPSY", "POSTMARKER")
#: Values of Image Type (0008,0008) → type; the first row that applies counts.
_VALUES: Final[tuple[tuple[ImageType, frozenset[str]], ...]] = (
    ("contrast recombined", frozenset(
        ("RECOMBINED", "SUBTRACTED", "SUBTRACTION", "DUAL_ENERGY_SUBTRACTION", "IODINE", "ADDITION")
    )),
    ("contrast low-energy", frozenset(("LOW_ENERGY", "LOWENERGY", "LOW ENERGY"))),
    # Contrast images that state no energy are not known to look like mammograms.
    ("other", frozenset(
        ("HIGH_ENERGY", "HIGHENERGY", "HIGH ENERGY", "LOCALIZER", "PRE_CONTRAST", "POST_CONTRAST")
    )),
    ("synthetic", frozenset(("GENERATED_2D", "GENERATED 2D", "SYNTHETIC", "SYNTHESIZED"))),
    ("tomosynthesis", frozenset(("TOMOSYNTHESIS", "TOMO", "TOMO_PROJ", "TOMO_SLICE", "VOLUME"))),
)  # fmt: skip

#: Words of vendors in the descriptions → type, as regular expressions over upper-case words.
_PATTERNS: Final[dict[ImageType, str]] = {
    "contrast recombined": r"RECOMBINED|RECOMB|SUBTRACTED|SUBTRACTION",
    "contrast low-energy": r"LOW[ _-]?ENERGY",
    # Biopsies (not mammograms after one), contrast in ducts, test objects, and contrast images
    # whose energy is not stated.
    "other": r"HIGH[ _-]?ENERGY|STEREO(?:TACTIC|TAXIC)?|(?:PRE|POST)[ _-]?FIRE|"
    r"(?<!POST[ _-])(?<!AFTER )(?<!PRIOR )(?<!PREVIOUS )(?<!S/P )(?<!H/O )(?<!OF )BIOPSY|SCOUT|"
    r"(?:NEEDLE|WIRE)[ _-]?LOC(?:ALI[SZ]ATION)?|(?:GALACT|DUCT)OGRA(?:M|PHY)|PHANTOM|"
    r"FLAT[ _-]?FIELD|CESM|CEDM|CEM",
    # Hologic, GE, Siemens, Fujifilm, IMS Giotto, and general words.
    "synthetic": r"C[ _-]?VIEW|INTELLIGENT[ _-]?2D|INTELLI[ _-]?2D|V[ _-]?PREVIEW|INSIGHT[ _-]?2D|"
    r"S[_-]?VIEW|G[_-]VIEW|GENERATED[ _-]?2D|SYNTHETIC|SYNTHESI[SZ]ED|SYNTH|SYN[ _-]?2D",
    "tomosynthesis": r"DBT|TOMO(?:SYNTHESIS)?",
}
_TEXTS: Final[dict[ImageType, re.Pattern[str]]] = {
    name: re.compile(rf"(?<![A-Z0-9])(?:{pattern})(?![A-Z0-9])")
    for name, pattern in _PATTERNS.items()
}
#: One compression for a mammogram and a tomosynthesis: the text does not say which one this is.
_BOTH: Final = re.compile(r"(?<![A-Z0-9])(?:COMBO|COMBINED|2D)(?![A-Z0-9])")
#: Words of Contrast/Bolus Agent that name none.
_NO_AGENT: Final = ("NO", "NONE", "N", "N/A", "NA", "NIL", "0", "-", "UNKNOWN")
_DESCRIPTIONS: Final = (
    "AcquisitionDeviceProcessingDescription",
    "SeriesDescription",
    "ProtocolName",
)


def read_image_type(data: Any, frames: int, warnings: list[ImageWarning]) -> ImageType | None:
    """Return the type of an image.

    The values of Image Type count before the words of the descriptions, and those before the
    storage class: a synthetic image may be a file of the mammography, the tomosynthesis or the
    secondary capture class.

    Args:
        data: The allowed header fields (`FieldValues`).
        frames: Number of frames.
        warnings: Warnings of the file; more are added.

    Returns:
        The type; None if nothing in the header says what it is.
    """
    sop_class = str(data.get("SOPClassUID") or "")
    if frames > 1:
        return "tomosynthesis" if sop_class in TOMOSYNTHESIS or _stated(data) else "other"
    stated = _stated(data)
    described = _described(data)
    if stated and described and _disagree(stated, described):
        warnings.append(
            ImageWarning(
                code="conflict",
                message=f"Image Type says {stated}, the descriptions say {described}",
            )
        )
    if (marked := _prefer_synthetic(stated, described)) is not None:
        return marked
    if sop_class in TOMOSYNTHESIS:
        return "tomosynthesis"
    by_class = _from_class(data, sop_class, warnings)
    if by_class == "ffdm" and (reason := _no_mammogram(data)) is not None:
        warnings.append(ImageWarning(code="implied_type", message=f"Type other: {reason}"))
        return "other"
    return by_class


def _no_mammogram(data: Any) -> str | None:
    """Return what else makes an image no plain mammogram, in words; None if nothing does."""
    agent = first_text(data, "ContrastBolusAgent").strip().upper()
    if (agent and agent not in _NO_AGENT) or data.get("ContrastBolusAgentSequence"):
        return "the header names a contrast agent, and no energy"
    paddle = (read_paddle(first_text(data, "PaddleDescription")) or "").split()
    if {"biopsy", "localization"} & set(paddle):
        return "the paddle is one for biopsies or localizations"
    return None


def _prefer_synthetic(stated: ImageType | None, described: ImageType | None) -> ImageType | None:
    # Image Type of a synthetic image also names the tomosynthesis that it was made from.
    if stated == "tomosynthesis" and described == "synthetic":
        return described
    return stated or described


def _disagree(stated: ImageType, described: ImageType) -> bool:
    # CESM in a text says nothing about the energy; tomosynthesis may have been made beside it.
    contrast = stated.startswith("contrast") and described == "other"
    return stated != described and not contrast and "tomosynthesis" not in (stated, described)


def _stated(data: Any) -> ImageType | None:
    values = {value.strip().upper() for value in texts(data, "ImageType")}
    if any(value.startswith(_BIOPSY) for value in values):
        return "other"
    return next((name for name, words in _VALUES if values & words), None)


def _described(data: Any) -> ImageType | None:
    for keyword in _DESCRIPTIONS:
        text = " ".join(texts(data, keyword)).upper()
        for name, pattern in _TEXTS.items():
            if pattern.search(text) and not (name == "tomosynthesis" and _BOTH.search(text)):
                return name
    return None


def _from_class(data: Any, sop_class: str, warnings: list[ImageWarning]) -> ImageType | None:
    conversion = first_text(data, "ConversionType").strip().upper()
    if first_text(data, "DetectorType").strip().upper() == "FILM" or conversion in ("DF", "SI"):
        return "film"
    modality = first_text(data, "Modality").strip().upper()
    if sop_class in MAMMOGRAPHY:
        return "ffdm"
    if sop_class in _RADIOGRAPHY and modality in ("MG", "CR", "DX"):
        return "ffdm"
    if sop_class == _SECONDARY_CAPTURE or not sop_class:
        if conversion == "SYN":
            return "synthetic"
        return "film" if modality == "RG" else None
    return "other"
