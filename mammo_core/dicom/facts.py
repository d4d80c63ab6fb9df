"""What is known of an image file: facts that hold nothing of the patient."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from mammo_core.dicom.manufacturers import UNKNOWN


class ImageFacts(BaseModel):
    """Facts of one image file, from an allow-list of header fields.

    Args:
        transfer_syntax: Transfer syntax UID; `PNG` or `TIFF` for such files.
        photometric: Photometric interpretation as stored; pixels are always handed out
            with black as 0.
        modality: Modality (0008,0060); `unknown` for a word that is no term of DICOM; or None.
        manufacturer: Who made the device, in words of ours: see `manufacturer_of`.
        rows: Rows in pixels.
        columns: Columns in pixels.
        bits_stored: Bits of the gray range of the pixels handed out.
        laterality: LEFT, RIGHT or None.
        view: CC, MLO or None (unknown, or neither of both).
        spacing_mm: Distance of pixel centres in mm; None when unknown or not square.
        spacing_source: The header field that the spacing was taken from.
        voi: Whether the header has a window or a VOI look-up table, and whether the pixels
            handed out went through it.
        voi_function: Which one: TABLE, or the function of the window.
        for_processing: Whether it is raw detector data, not an image for reading.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    transfer_syntax: str
    photometric: str
    modality: str | None = None
    manufacturer: str = UNKNOWN
    rows: int
    columns: int
    bits_stored: int
    laterality: Literal["LEFT", "RIGHT"] | None = None
    view: Literal["CC", "MLO"] | None = None
    spacing_mm: float | None = None
    spacing_source: str | None = None
    voi: Literal["none", "available", "applied"] = "none"
    voi_function: Literal["TABLE", "LINEAR", "LINEAR_EXACT", "SIGMOID"] | None = None
    for_processing: bool = False


@dataclass(frozen=True)
class Mammogram:
    """One decoded image.

    Args:
        pixels: (h, w) uint16, [0, 2**bits_stored - 1], black is 0.
        facts: What the header says.
        sha256: Of the file's bytes (hex), where it was asked for.
    """

    pixels: np.ndarray[Any, np.dtype[np.uint16]]
    facts: ImageFacts
    sha256: str | None = None
