"""One image file in, gray pixels and a few allow-listed facts out."""

import logging
import warnings

from mammo_core.dicom.check import check_mammogram
from mammo_core.dicom.facts import ImageFacts, Mammogram
from mammo_core.dicom.fields import read_fields
from mammo_core.dicom.read import read_any, read_any_facts, read_facts, read_image
from mammo_core.dicom.views import laterality_of, view_of

# pydicom tells of odd headers by warnings and log lines that quote the odd value, which in a
# damaged header can be anything, a name as well: we raise what matters, and say it ourselves.
warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.")
# (A filter, as pydicom sets its logger's level when it is imported.)
logging.getLogger("pydicom").addFilter(lambda record: False)

__all__ = [
    "ImageFacts",
    "Mammogram",
    "check_mammogram",
    "laterality_of",
    "read_any",
    "read_any_facts",
    "read_facts",
    "read_fields",
    "read_image",
    "view_of",
]
