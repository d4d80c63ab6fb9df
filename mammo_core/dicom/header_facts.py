"""From header fields to the facts of an image."""

import contextlib
from typing import Any

from mammo_core.dicom.facts import ImageFacts
from mammo_core.dicom.header import is_for_processing, read_modality
from mammo_core.dicom.manufacturers import normalize_manufacturer
from mammo_core.dicom.views import (
    Laterality,
    View,
    laterality_from_code,
    parse_laterality,
    parse_view,
    view_from_code,
)
from mammo_core.dicom.voi import voi_function


def header_facts(data: Any) -> ImageFacts:
    """Return the facts of a header that `require_readable_header` accepted.

    Args:
        data: The allowed header fields (pydicom Dataset).
    """
    spacing, source = _spacing(data)
    function = voi_function(data)
    return ImageFacts(
        transfer_syntax=str(data.file_meta.TransferSyntaxUID),
        photometric=str(data.PhotometricInterpretation),
        modality=read_modality(data),
        manufacturer=normalize_manufacturer(_text(data, "Manufacturer")),
        rows=int(data.Rows),
        columns=int(data.Columns),
        bits_stored=int(data.BitsStored),
        laterality=_laterality(data),
        view=_view(data),
        spacing_mm=spacing,
        spacing_source=source,
        voi="available" if function else "none",
        voi_function=function,
        for_processing=is_for_processing(data),
    )


def _view(data: Any) -> View | None:
    # Mammograms must have the code (PS3.3 C.8.11.7); older files have the text.
    for item in data.get("ViewCodeSequence") or []:
        if view := view_from_code(_text(item, "CodeValue"), _text(item, "CodeMeaning")):
            return view
    return parse_view(_text(data, "ViewPosition"))


def _laterality(data: Any) -> Laterality | None:
    for keyword in ("ImageLaterality", "Laterality"):
        if side := parse_laterality(_text(data, keyword)):
            return side
    for region in data.get("AnatomicRegionSequence") or []:
        for item in region.get("AnatomicRegionModifierSequence") or []:
            side = laterality_from_code(_text(item, "CodeValue"), _text(item, "CodeMeaning"))
            if side:
                return side
    return None


def _text(data: Any, keyword: str) -> str:
    value = data.get(keyword)
    return value if isinstance(value, str) else ""


def _spacing(data: Any) -> tuple[float | None, str | None]:
    # PS3.3 10.7.1.3: if both are present, Pixel Spacing is the calibrated one.
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        with contextlib.suppress(TypeError, ValueError, AttributeError):
            down, across = (float(value) for value in data.get(keyword))
            if 0 < down < float("inf") and abs(across / down - 1) <= 0.01:
                return down, keyword
    return None, None
