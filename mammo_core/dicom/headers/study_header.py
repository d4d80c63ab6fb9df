"""Patient and study of an image, for the DICOM results about it, which carry them on unchanged."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mammo_core.dicom.headers.fields import Fields, error_without_text, read_elements
from mammo_core.dicom.headers.hashing import open_image_file
from mammo_core.dicom.headers.header import COPIED, REFERENCE
from mammo_core.errors import DicomError

if TYPE_CHECKING:  # slow to import
    from pydicom.dataelem import RawDataElement

_FIELDS: Final[Fields] = {**COPIED, **REFERENCE}
#: PS3.5 9.1: components without leading zeros.
_UID: Final = r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+"


@dataclass(frozen=True)
class StudyHeader:
    """What DICOM results have from the image that they are about. No value appears in `repr`.

    Attributes:
        elements: The elements of `header.COPIED` by keyword, as they are stored: a character set
            that nobody knows, or a damaged value, stays what it was.
        study_uid: Study Instance UID.
        series_uid: Series Instance UID.
        instance_uid: SOP Instance UID.
        class_uid: SOP Class UID.
    """

    elements: "Mapping[str, RawDataElement]" = field(repr=False)
    study_uid: str = field(repr=False)
    series_uid: str = field(repr=False)
    instance_uid: str = field(repr=False)
    class_uid: str = field(repr=False)

    def raw(self, keyword: str) -> bytes:
        """Return a copied value as it is stored, without padding; empty if there is none."""
        element = self.elements.get(keyword)
        return b"" if element is None else (element.value or b"").strip(b" \0")


def read_study_header(path: Path, name: str) -> StudyHeader:
    """Read patient and study of a DICOM file, and what an object refers to it by.

    Args:
        path: The file.
        name: The file, for messages.

    Raises:
        DicomError: Not a DICOM file, a damaged header, or a UID is missing or not valid.
        OSError: The disk failed.
    """
    with open_image_file(path, name) as file:
        data = read_elements(file, name, _FIELDS)
    elements: dict[str, Any] = {}
    try:
        for keyword in _FIELDS:
            if keyword in data:
                elements[keyword] = _as_explicit(data, keyword)
    except Exception as error:
        raise DicomError(
            f"{name} has a field of patient or study that cannot be copied",
            expected="values as defined in PS3.6",
            received=type(error).__name__,
        ) from error_without_text(error)
    uids = {keyword: _uid(elements, keyword, name) for keyword in ("StudyInstanceUID", *REFERENCE)}
    return StudyHeader(
        elements={keyword: value for keyword, value in elements.items() if keyword in COPIED},
        study_uid=uids["StudyInstanceUID"],
        series_uid=uids["SeriesInstanceUID"],
        instance_uid=uids["SOPInstanceUID"],
        class_uid=uids["SOPClassUID"],
    )


def _as_explicit(data: Any, keyword: str) -> "RawDataElement":
    """Return an element with its VR, as the result is written: explicit, little endian.

    All of them are text, whose bytes do not depend on either.
    """
    from pydicom.datadict import dictionary_VR

    raw = data.get_item(keyword)
    value = raw.value or b""
    value += b"\0" * (len(value) % 2) if keyword.endswith("UID") else b" " * (len(value) % 2)
    changes = {"VR": dictionary_VR(raw.tag), "length": len(value), "value": value}
    explicit: RawDataElement = raw._replace(
        **changes, value_tell=0, is_implicit_VR=False, is_little_endian=True
    )
    return explicit


def _uid(elements: Mapping[str, Any], keyword: str, name: str) -> str:
    value = elements[keyword].value if keyword in elements else b""
    text = value.strip(b" \0").decode("ascii", "replace")
    if len(text) > 64 or not re.fullmatch(_UID, text):
        raise DicomError(
            f"{name} cannot be referred to",
            expected=f"{keyword}: a UID of PS3.5 9.1",
            received="none" if not text else "another value",
            hint="DICOM results are about instances of a study: only files with their UIDs have "
            "them",
        )
    return text
