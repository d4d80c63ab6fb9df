"""Who and when: the identifying fields of a header, which never leave the process as they are."""

import datetime
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mammo_core.dicom.headers.fields import read_fields
from mammo_core.dicom.headers.header import IDENTIFYING
from mammo_core.errors import DicomError

_FIRST_YEAR: Final = 1913


@dataclass(frozen=True)
class Identity:
    """The identifying fields of a file.

    They serve to group and order images, and are written nowhere: ids leave the process as keyed
    hashes, dates as days from an anchor of the patient. No value appears in `repr`.

    Args:
        patient_id: Patient ID (0010,0020), without blanks around it; empty if there is none.
        study_uid: Study Instance UID (0020,000D); empty if it is not a UID.
        series_uid: Series Instance UID (0020,000E); empty if it is not a UID.
        exam_date: The day of the exam: Study Date, or else Acquisition or Content Date. Days
            before the first mammograms are placeholders of de-identification, so None.
        acquired: Sorts the images of an exam by acquisition: the digits of date and time, then
            Acquisition Number or else Instance Number.
    """

    patient_id: str = field(default="", repr=False)
    study_uid: str = field(default="", repr=False)
    series_uid: str = field(default="", repr=False)
    exam_date: datetime.date | None = field(default=None, repr=False)
    acquired: tuple[str, int] = field(default=("", 0), repr=False)


def read_identity(path: Path) -> Identity:
    """Return the identifying fields of a file; nothing for a file that is not DICOM.

    Args:
        path: The file, or the start of it.

    Raises:
        OSError: The disk failed.
    """
    with path.open("rb") as file:
        try:
            data = read_fields(file, "the file", IDENTIFYING).data
        except DicomError:
            # The image itself was read: a patient in a damaged field does not count.
            return Identity()
    return Identity(
        patient_id=_text(data, "PatientID"),
        study_uid=_uid(data, "StudyInstanceUID"),
        series_uid=_uid(data, "SeriesInstanceUID"),
        exam_date=_date(data, "StudyDate")
        or _date(data, "AcquisitionDate")
        or _date(data, "ContentDate"),
        acquired=_acquired(data),
    )


def _text(data: Any, keyword: str) -> str:
    value = data.get(keyword)
    return "" if value is None else str(value).strip()


def _uid(data: Any, keyword: str) -> str:
    uid = _text(data, keyword)
    return uid if re.fullmatch(r"[0-9.]{1,64}", uid) else ""


def _date(data: Any, keyword: str) -> datetime.date | None:
    """Return a date as YYYYMMDD or YYYY.MM.DD (PS3.5 6.2), or None."""
    match = re.fullmatch(r"(\d{4})([-.]?)(\d{2})\2(\d{2})", _text(data, keyword))
    if match is None:
        return None
    try:
        day = datetime.date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        return None
    return day if day.year >= _FIRST_YEAR else None


def _acquired(data: Any) -> tuple[str, int]:
    moment = re.sub(r"\D", "", _text(data, "AcquisitionDateTime").split("+")[0])
    for kind in ("Acquisition", "Content"):
        if not moment and (time := re.sub(r"\D", "", _text(data, f"{kind}Time"))):
            moment = re.sub(r"\D", "", _text(data, f"{kind}Date")) + time
    for name in ("AcquisitionNumber", "InstanceNumber"):
        text = _text(data, name)
        if re.fullmatch(r"\d{1,9}", text):
            return moment, int(text)
    return moment, 0
