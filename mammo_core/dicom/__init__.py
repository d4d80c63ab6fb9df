"""One image file in, gray pixels and a few allow-listed facts out."""

import logging
import warnings

from mammo_core.dicom.check import require_mammogram
from mammo_core.dicom.facts import ImageFacts, Mammogram
from mammo_core.dicom.fields import read_fields
from mammo_core.dicom.read import read_facts, read_image, read_facts, read_image
from mammo_core.dicom.views import parse_laterality, parse_view

# pydicom tells of odd headers by warnings and log lines that quote the odd value, which in a
# damaged header can be anything, a name as well: we raise what matters, and say it ourselves.
warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.")
# (A filter, as pydicom sets its logger's level when it is imported.)
logging.getLogger("pydicom").addFilter(lambda record: False)

__all__ = [
    "ImageFacts",
    "Mammogram",
    "require_mammogram",
    "parse_laterality",
    "read_image",
    "read_facts",
    "read_facts",
    "read_fields",
    "read_image",
    "parse_view",
]
