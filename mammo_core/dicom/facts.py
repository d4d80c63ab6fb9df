"""Facts about an image file, without anything about the patient."""

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from mammo_core.dicom.meanings.manufacturers import UNKNOWN
from mammo_core.dicom.meanings.meaning import ImageMeaning
from mammo_core.errors import DicomError

#: MG is digital mammography; digitized film is stored as RG, CR, DX, OT or SC.
MODALITIES: Final = ("MG", "RG", "CR", "DX", "OT", "SC")
#: Pixels per side below which an image cannot show a breast.
MINIMUM_SIDE: Final = 64


class ImageFacts(ImageMeaning):
    """Facts about one image file: what it is and how it is stored.

    Args:
        transfer_syntax: Transfer syntax UID; `PNG`, `TIFF`, `PNM` or `JPEG` for such files.
        photometric: Photometric interpretation as stored; returned pixels always have black
            as 0.
        modality: Modality (0008,0060); `unknown` for a value that DICOM does not define; None
            if there is none.
        manufacturer: Manufacturer of the device: see `normalize_manufacturer`.
        rows: Rows in pixels.
        columns: Columns in pixels.
        bits_stored: Bits of the gray range of the returned pixels.
        spacing_mm: Distance between pixel centers in mm; None if unknown or not square.
        spacing_source: The header field with the spacing.
        voi: Whether the header has a window or a VOI look-up table, and whether it was applied
            to the returned pixels.
        voi_function: The VOI transform: TABLE, or the function of the window.
    """

    transfer_syntax: str
    photometric: str
    modality: str | None = None
    manufacturer: str = UNKNOWN
    rows: int
    columns: int
    bits_stored: int
    spacing_mm: float | None = None
    spacing_source: str | None = None
    voi: Literal["none", "available", "applied"] = "none"
    voi_function: Literal["TABLE", "LINEAR", "LINEAR_EXACT", "SIGMOID"] | None = None


@dataclass(frozen=True)
class Mammogram:
    """One decoded image.

    Args:
        pixels: `(h, w) uint16, [0, 2**bits_stored - 1]`, black is 0.
        facts: The facts of its header.
        sha256: Digest of the file (hex), if it was requested.
    """

    pixels: np.ndarray[Any, np.dtype[np.uint16]]
    facts: ImageFacts
    sha256: str | None = None


def require_mammogram(facts: ImageFacts, name: str = "image") -> None:
    """Reject images that cannot be mammograms before they reach a network.

    A file without a modality is accepted: scanned film and PNG files have none.

    Args:
        facts: The facts of the file.
        name: The file, for the message.

    Raises:
        DicomError: The image has another modality, or is smaller than 64 pixels per side.
    """
    if facts.modality and facts.modality not in MODALITIES:
        raise DicomError(
            f"{name} is not a mammogram",
            expected=f"modality {', '.join(MODALITIES)} or none",
            received=f"modality {facts.modality}",
        )
    if min(facts.rows, facts.columns) < MINIMUM_SIDE:
        raise DicomError(
            f"{name} is too small to be a mammogram",
            expected=f"at least {MINIMUM_SIDE} pixels per side",
            received=f"{facts.rows}x{facts.columns}",
        )
