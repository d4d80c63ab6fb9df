"""Image files: gray pixels and a few allow-listed facts.

`read_image` and `read_facts` read DICOM, PNG and TIFF files.
"""

import logging
import warnings
from typing import TYPE_CHECKING

from mammo_core.lazy import import_lazily

if TYPE_CHECKING:
    from mammo_core.dicom.facts import ImageFacts, Mammogram, require_mammogram
    from mammo_core.dicom.headers.identity import Identity, read_identity
    from mammo_core.dicom.meanings.meaning import ImageMeaning, ImageWarning
    from mammo_core.dicom.meanings.view_text import parse_view
    from mammo_core.dicom.meanings.views import parse_laterality, view_class
    from mammo_core.dicom.read import read_facts, read_image

# pydicom reports odd headers in warnings and log lines that quote the value. In a damaged header
# any field can contain a patient's name, so they are silenced; we raise our own errors.
warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.")
# (Disabled, because a filter would still make a record of each line, which costs seconds.)
logging.getLogger("pydicom").disabled = True

__all__ = [
    "Identity",
    "ImageFacts",
    "ImageMeaning",
    "ImageWarning",
    "Mammogram",
    "parse_laterality",
    "parse_view",
    "read_facts",
    "read_identity",
    "read_image",
    "require_mammogram",
    "view_class",
]

import_lazily(
    __name__,
    {
        "facts": ["ImageFacts", "Mammogram", "require_mammogram"],
        "headers.identity": ["Identity", "read_identity"],
        "meanings.meaning": ["ImageMeaning", "ImageWarning"],
        "read": ["read_facts", "read_image"],
        "meanings.view_text": ["parse_view"],
        "meanings.views": ["parse_laterality", "view_class"],
    },
)
