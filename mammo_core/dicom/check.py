"""Say what is no mammogram, before a network says something about it."""

from typing import Final

from mammo_core.dicom.facts import ImageFacts
from mammo_core.errors import DicomError

#: MG is digital mammography; digitised film comes as RG, CR, DX, OT or SC.
MODALITIES: Final = ("MG", "RG", "CR", "DX", "OT", "SC")
#: Pixels a side below which no breast can be told.
MINIMUM_SIDE: Final = 64


def require_mammogram(facts: ImageFacts, name: str = "image") -> None:
    """Refuse an image that cannot be a mammogram.

    A file without a modality passes: film digitised by hand and PNG files have none.

    Args:
        facts: What the file says.
        name: The file, for the message.

    Raises:
        DicomError: Of another modality, or smaller than 64 pixels a side.
    """
    if facts.modality and facts.modality not in MODALITIES:
        raise DicomError(
            f"{name} is no mammogram",
            expected=f"modality {', '.join(MODALITIES)} or none",
            received=f"modality {facts.modality}",
        )
    if min(facts.rows, facts.columns) < MINIMUM_SIDE:
        raise DicomError(
            f"{name} is too small to be a mammogram",
            expected=f"at least {MINIMUM_SIDE} pixels a side",
            received=f"{facts.rows}x{facts.columns}",
        )
