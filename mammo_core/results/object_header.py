"""What every DICOM result has: patient and study of its images, our series, the record's time."""

import datetime
import re
from typing import TYPE_CHECKING, Any, Final

from mammo_core.dicom.headers.study_header import StudyHeader
from mammo_core.results.codes import ascii_text
from mammo_core.results.exam_record import ExamRecord

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

#: Attributes of type 2 (PS3.5 7.4.3) of patient and study: empty where the image has none.
_PRESENT: Final = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
#: Behind the series of modalities.
SERIES_NUMBER: Final = 9001
RESEARCH_USE: Final = "RESEARCH USE ONLY"
MANUFACTURER: Final = "Mammo Pipelines"


def reference(header: StudyHeader) -> "Dataset":
    """Return an image as highdicom takes evidence: what it is referred to by, without a patient."""
    from pydicom.dataset import Dataset

    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = header.class_uid, header.instance_uid
    image.StudyInstanceUID, image.SeriesInstanceUID = header.study_uid, header.series_uid
    for keyword in _PRESENT:
        setattr(image, keyword, "")
    return image


def copy_patient_and_study(result: "Dataset", header: StudyHeader) -> None:
    """Copy patient and study of an image into a result, byte for byte.

    Args:
        result: The result.
        header: The header of the image.
    """
    for keyword in _PRESENT:
        setattr(result, keyword, "")
    for element in header.elements.values():
        result[element.tag] = element


def equipment(record: ExamRecord, version: str) -> dict[str, Any]:
    """Return what the constructors of highdicom take about equipment and series.

    Args:
        record: The record.
        version: Version of this library.
    """
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": ascii_text(record.model_name)[:64],
        "software_versions": ascii_text(version)[:64],
        "series_number": SERIES_NUMBER,
        "series_description": ascii_text(f"{RESEARCH_USE}: {record.model_name}")[:64],
    }


def local_time(record: ExamRecord, header: StudyHeader) -> datetime.datetime:
    """Return when an exam was scored, in the time zone that all times of the result are in.

    That is the one which the image states (0008,0201), else that of the machine that scored.

    Args:
        record: The record.
        header: The header of an image of the exam.
    """
    began = datetime.datetime.fromisoformat(record.began)
    stated = header.raw("TimezoneOffsetFromUTC").decode("ascii", "replace")
    match = re.fullmatch(r"([+-])(\d\d)([0-5]\d)", stated)
    if match is None or int(match[2]) > 14:
        return began
    offset = datetime.timedelta(hours=int(match[2]), minutes=int(match[3]))
    return began.astimezone(datetime.timezone(-offset if match[1] == "-" else offset))


def set_times(result: "Dataset", moment: datetime.datetime) -> None:
    """Set every time of a result that says when it was made.

    Args:
        result: The result.
        moment: From `local_time`.
    """
    for name in ("Content", "InstanceCreation", "Series"):
        setattr(result, f"{name}Date", moment.strftime("%Y%m%d"))
        setattr(result, f"{name}Time", moment.strftime("%H%M%S"))
    # highdicom names itself, with the time of this call.
    for item in result.get("ContributingEquipmentSequence", []):
        item.ContributionDateTime = moment.strftime("%Y%m%d%H%M%S")
