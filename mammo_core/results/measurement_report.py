"""An exam as a Comprehensive SR document with TID 1500 "Measurement Report" (PS3.16)."""

import importlib.metadata
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from mammo_core.dicom.headers.fields import error_without_text
from mammo_core.dicom.headers.study_header import StudyHeader
from mammo_core.errors import RecordError
from mammo_core.results.codes import SCHEME, ascii_text
from mammo_core.results.exam_record import ExamRecord
from mammo_core.results.identifiers import derived_uid
from mammo_core.results.object_header import (
    MANUFACTURER,
    RESEARCH_USE,
    copy_patient_and_study,
    equipment,
    local_time,
    reference,
    set_times,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# Its messages quote names of patients.
logging.getLogger("highdicom").disabled = True

_KIND: Final = "comprehensive-sr"


def measurement_report(record: ExamRecord, headers: Mapping[str, StudyHeader]) -> "Dataset":
    """Return an exam as a Comprehensive SR document with TID 1500.

    It has a measurement group (TID 1501) for the exam, for each breast and, if the models take
    one image, for each image: the malignant probability, its calibration in percent with the
    range over several models, the decision, warnings; and a group of a planar region (TID 1410)
    for each finding. Series Description and algorithm name carry RESEARCH USE ONLY.

    Args:
        record: The score record of the exam.
        headers: Id of each image → its header; all of one study and patient.

    Returns:
        The document, ready to be saved. The same record and headers give the same bytes.

    Raises:
        RecordError: An image has no header, headers are of several studies, or an image is an
            instance that no document may refer to so.
    """
    first = _require_one_study(record, headers)
    try:
        document = _document(record, headers)
    except (KeyError, TypeError, ValueError) as error:  # of highdicom; they quote values
        raise RecordError(
            "The DICOM result of an exam cannot be written",
            expected="images of a storage class of PS3.4",
            received=f"images that highdicom refuses ({type(error).__name__})",
        ) from error_without_text(error)
    set_times(document, local_time(record, first))
    copy_patient_and_study(document, first)
    return document


def _document(record: ExamRecord, headers: Mapping[str, StudyHeader]) -> "Dataset":
    from highdicom.sr import (
        CodedConcept,
        ComprehensiveSR,
        DeviceObserverIdentifyingAttributes,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
    )
    from pydicom.sr.codedict import codes

    from mammo_core.results.measurement_groups import measurement_groups

    version = importlib.metadata.version("mammo-pipelines")
    device = DeviceObserverIdentifyingAttributes(
        uid=derived_uid("device", *(model.model_id for model in record.models)),
        name=ascii_text(f"{record.model_name}, {RESEARCH_USE}"),
        manufacturer_name=MANUFACTURER,
        model_name=ascii_text(record.model_name),
    )
    content = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(
                observer_type=codes.DCM.Device, observer_identifying_attributes=device
            )
        ),
        procedure_reported=CodedConcept("71651007", "SCT", "Mammography"),
        imaging_measurements=measurement_groups(record, headers),
        title=codes.DCM.ImagingMeasurementReport,
    )
    document = ComprehensiveSR(
        evidence=[reference(headers[image.id]) for image in record.images],
        content=content,
        series_instance_uid=derived_uid("series", record.digest),
        sop_instance_uid=derived_uid(_KIND, record.digest),
        instance_number=1,
        is_complete=True,
        is_final=False,
        **equipment(record, version),
    )
    document.CodingSchemeIdentificationSequence = [_our_scheme()]
    return document


def _our_scheme() -> "Dataset":
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodingSchemeDesignator = SCHEME
    item.CodingSchemeName = "Concepts of Mammo Pipelines"
    item.CodingSchemeResponsibleOrganization = MANUFACTURER
    return item


def _require_one_study(record: ExamRecord, headers: Mapping[str, StudyHeader]) -> StudyHeader:
    absent = [image.id for image in record.images if image.id not in headers]
    if absent:
        raise RecordError(
            "A DICOM result needs the header of every image",
            expected="a header for each id of the record",
            received=f"none for {absent[0]}",
        )
    of_images = [headers[image.id] for image in record.images]
    studies = {(header.study_uid, header.raw("PatientID")) for header in of_images}
    if len(studies) > 1:
        raise RecordError(
            "A DICOM result is about one study of one patient",
            expected="images of one study",
            received=f"images of {len(studies)} studies or patients",
        )
    return of_images[0]
