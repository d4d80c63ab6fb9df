"""From header fields to the facts of an image."""

import contextlib
from typing import Any

from mammo_core.dicom.facts import ImageFacts
from mammo_core.dicom.gray.voi import voi_function
from mammo_core.dicom.headers.header import (
    is_for_processing,
    read_integer,
    read_modality,
    read_photometric,
)
from mammo_core.dicom.headers.values import first_text
from mammo_core.dicom.meanings.header_meaning import read_meaning
from mammo_core.dicom.meanings.manufacturers import normalize_manufacturer


def header_facts(data: Any) -> ImageFacts:
    """Return the facts of a header with rows and columns.

    Args:
        data: The allowed header fields (`FieldValues`).
    """
    rows, columns = read_integer(data, "Rows"), read_integer(data, "Columns")
    spacing, source = _spacing(data)
    function = voi_function(data)
    meaning = read_meaning(
        data,
        for_processing=is_for_processing(data),
        frames=read_integer(data, "NumberOfFrames", 1) or 1,
    )
    stated = {name: getattr(meaning, name) for name in type(meaning).model_fields}
    stated["area_mm2"] = rows * columns * spacing**2 if spacing else None
    return ImageFacts(
        **stated,
        transfer_syntax=str(data.file_meta.TransferSyntaxUID),
        photometric=read_photometric(data),
        modality=read_modality(data),
        manufacturer=normalize_manufacturer(first_text(data, "Manufacturer")),
        rows=rows,
        columns=columns,
        bits_stored=read_integer(data, "BitsStored"),
        spacing_mm=spacing,
        spacing_source=source,
        voi="available" if function else "none",
        voi_function=function,
    )


def _spacing(data: Any) -> tuple[float | None, str | None]:
    # PS3.3 10.7.1.3: if both are present, Pixel Spacing is the calibrated one.
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        with contextlib.suppress(TypeError, ValueError, AttributeError):
            down, across = (float(value) for value in data.get(keyword))
            if 0 < down < float("inf") and abs(across / down - 1) <= 0.01:
                return down, keyword
    return None, None
