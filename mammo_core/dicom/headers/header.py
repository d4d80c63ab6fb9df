"""The allowed header fields of an image, and the checks that need only the header."""

from typing import Any, BinaryIO, Final

from mammo_core.dicom.headers.fields import Fields, Header, read_fields
from mammo_core.dicom.meanings.image_types import read_image_type
from mammo_core.errors import DicomError

_CODE: Final[Fields] = {"CodeValue": None, "LongCodeValue": None, "CodeMeaning": None}
_TABLE: Final[Fields] = {"LUTDescriptor": None, "LUTData": None}
#: Fields of an enhanced image (PS3.3 C.7.6.16), such as a synthetic one of the tomosynthesis class,
#: that others have at the top.
_GROUPS: Final[Fields] = {
    "FrameAnatomySequence": {"FrameLaterality": None},
    "PixelMeasuresSequence": {"PixelSpacing": None},
    "PixelValueTransformationSequence": {"RescaleSlope": None, "RescaleIntercept": None},
    "FrameVOILUTSequence": {"WindowCenter": None, "WindowWidth": None, "VOILUTFunction": None},
}
#: The groups of overlays, hexadecimal: their elements have no keywords of their own.
OVERLAY_GROUPS: Final = tuple(f"60{number:02X}" for number in range(0, 32, 2))
#: The fields that facts and pixels are made from: none of the patient, the study or the site.
#: Descriptions are searched for allow-listed words and never repeated.
ALLOWED: Final[Fields] = {
    **dict.fromkeys(
        (
            "SOPClassUID",
            "ImageType",
            "Modality",
            "Manufacturer",
            "PresentationIntentType",
            "ConversionType",
            "DetectorType",
            "BodyPartExamined",
            "ViewPosition",
            "AcquisitionDeviceProcessingDescription",
            "SeriesDescription",
            "ProtocolName",
            "PaddleDescription",
            "ContrastBolusAgent",
            "EstimatedRadiographicMagnificationFactor",
            "DistanceSourceToDetector",
            "DistanceSourceToPatient",
            "PatientOrientation",
            "BreastImplantPresent",
            "PartialView",
            "BurnedInAnnotation",
            "LossyImageCompression",
            "PatientIdentityRemoved",
            "Laterality",
            "ImageLaterality",
            "ImagerPixelSpacing",
            "PixelSpacing",
            "NominalScannedPixelSpacing",
            "SamplesPerPixel",
            "PhotometricInterpretation",
            "NumberOfFrames",
            "Rows",
            "Columns",
            "BitsAllocated",
            "BitsStored",
            "HighBit",
            "PixelRepresentation",
            "PixelPaddingValue",
            "PixelPaddingRangeLimit",
            "RescaleSlope",
            "RescaleIntercept",
            "WindowCenter",
            "WindowWidth",
            "VOILUTFunction",
        )
    ),
    # Overlay Bits Allocated, Overlay Bit Position.
    **dict.fromkeys(
        f"{group}{element}" for group in OVERLAY_GROUPS for element in ("0100", "0102")
    ),
    "ViewCodeSequence": {**_CODE, "ViewModifierCodeSequence": _CODE},
    "ViewModifierCodeSequence": _CODE,
    "PartialViewCodeSequence": _CODE,
    "ContrastBolusAgentSequence": _CODE,
    "SpecimenDescriptionSequence": {"SpecimenTypeCodeSequence": _CODE},
    "ModalityLUTSequence": _TABLE,
    "VOILUTSequence": _TABLE,
    "SharedFunctionalGroupsSequence": _GROUPS,
    "AnatomicRegionSequence": {**_CODE, "AnatomicRegionModifierSequence": _CODE},
}

#: The identifying fields: only `read_identity` reads them. This module lists every field that the
#: library reads of a header.
IDENTIFYING: Final[Fields] = dict.fromkeys(
    (
        "PatientID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "StudyDate",
        "AcquisitionDate",
        "AcquisitionTime",
        "ContentDate",
        "ContentTime",
        "AcquisitionDateTime",
        "AcquisitionNumber",
        "InstanceNumber",
    )
)

#: The fields of patient and study that a DICOM result has from the image that it is about: the
#: modules Patient (PS3.3 C.7.1.1), General Study (C.7.2.1) and Patient Study (C.7.2.2), without
#: sequences. Only `read_study_header` reads them, and only `mammo_core.results` writes them.
COPIED: Final[Fields] = dict.fromkeys(
    (
        "SpecificCharacterSet",
        "TimezoneOffsetFromUTC",
        "PatientName",
        "PatientID",
        "IssuerOfPatientID",
        "TypeOfPatientID",
        "PatientBirthDate",
        "PatientSex",
        "PatientIdentityRemoved",
        "DeidentificationMethod",
        "StudyInstanceUID",
        "StudyDate",
        "StudyTime",
        "StudyID",
        "StudyDescription",
        "AccessionNumber",
        "ReferringPhysicianName",
        "PatientAge",
    )
)
#: What a DICOM result refers to an image by.
REFERENCE: Final[Fields] = dict.fromkeys(("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID"))

#: Defined terms of Modality (PS3.3 C.7.3.1.1.1). A damaged header can contain a patient's name in
#: any field, so values outside these lists are never repeated.
_MODALITIES: Final = frozenset({
    "AR", "AU", "BDUS", "BI", "BMD", "CFM", "CR", "CT", "DG", "DMS", "DOC", "DX", "ECG", "EPS",
    "ES", "FA", "FID", "FS", "GM", "HC", "HD", "IO", "IOL", "IVOCT", "IVUS", "KER", "KO", "LEN",
    "LP", "LS", "M3D", "MA", "MG", "MR", "MS", "NM", "OAM", "OCT", "OP", "OPM", "OPT", "OPV",
    "OSS", "OT", "PA", "PLAN", "POS", "PR", "PT", "PX", "REG", "RESP", "RF", "RG", "RTDOSE",
    "RTIMAGE", "RTPLAN", "RTRECORD", "RTSTRUCT", "RWV", "SC", "SEG", "SM", "SMR", "SR", "SRF",
    "ST", "STAIN", "TG", "US", "VA", "VF", "VL", "XA", "XC",
})  # fmt: skip
_PHOTOMETRIC: Final = frozenset(
    ["MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "XYB"]
) | {"PALETTE COLOR"}

#: Far more than any mammogram, which have up to 40 million pixels.
MAXIMUM_PIXELS: Final = 100_000_000
#: Bytes of a data set of that size, with ample room for the header.
MAXIMUM_BYTES: Final = 2 * MAXIMUM_PIXELS + 2**24

_FOR_PROCESSING: Final = (
    "1.2.840.10008.5.1.4.1.1.1.2.1",  # Digital Mammography X-Ray, For Processing
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray, For Processing
)


def read_header(file: BinaryIO, name: str) -> Header:
    """Read the allowed header fields of a DICOM file, without its pixels.

    Args:
        file: The open file.
        name: The file, for messages.

    Raises:
        DicomError: Not a DICOM file, no file meta group, no transfer syntax, a damaged header,
            or a header over a limit.
        OSError: The disk failed.
    """
    header = read_fields(file, name, ALLOWED)
    for group in header.data.get("SharedFunctionalGroupsSequence") or []:
        for macro in _GROUPS:
            for item in group.get(macro) or []:
                for keyword, value in item.items():
                    # The same fact has two names.
                    keyword = "ImageLaterality" if keyword == "FrameLaterality" else keyword
                    header.data.setdefault(keyword, value)
    return header


def require_readable_header(data: Any, name: str, *, for_processing: bool = False) -> None:
    """Reject images that the header shows to be unreadable, before memory is allocated.

    Args:
        data: The allowed header fields (`FieldValues`).
        name: The file, for messages.
        for_processing: Whether For Processing images are accepted.

    Raises:
        DicomError: Not an image, tomosynthesis, multi-frame, palette, color, For Processing, too
            many pixels, or an impossible bit layout.
    """

    def reject(problem: str, expected: str, received: str, hint: str | None = None) -> None:
        raise DicomError(f"{name} {problem}", expected=expected, received=received, hint=hint)

    rows, columns = read_integer(data, "Rows"), read_integer(data, "Columns")
    if not rows or not columns:
        reject(
            "has no pixels",
            "Rows and Columns",
            f"neither; modality {read_modality(data) or 'none'}",
        )
    frames = read_integer(data, "NumberOfFrames", 1) or 1
    if read_image_type(data, frames, []) == "tomosynthesis":
        reject(
            "is a tomosynthesis volume" if frames > 1 else "is a tomosynthesis slice",
            "one mammogram",
            f"{frames} frames" if frames > 1 else "one frame of a volume",
            "Use the synthetic two-dimensional view of the tomosynthesis volume",
        )
    if frames > 1:
        reject("is multi-frame", "one frame", f"{frames} frames")
    samples = read_integer(data, "SamplesPerPixel", 1)
    photometric = str(data.get("PhotometricInterpretation") or "")
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        kind = (
            "is a palette image, not a gray image"
            if photometric == "PALETTE COLOR"
            else "is a color image, not a gray image"
            if samples == 3
            else "is not a gray image"
        )
        reject(
            kind,
            "one sample per pixel, MONOCHROME1 or MONOCHROME2",
            f"{samples} samples, "
            + (photometric if photometric in _PHOTOMETRIC else "no such interpretation"),
        )
    if not for_processing and is_for_processing(data):
        reject(
            "is a For Processing image",
            "an image For Presentation",
            "raw detector data",
            "Use the image that the vendor's software processed for reading",
        )
    if rows * columns > MAXIMUM_PIXELS:
        reject("has too many pixels", f"at most {MAXIMUM_PIXELS} pixels", f"{rows}x{columns}")
    allocated, stored = read_integer(data, "BitsAllocated"), read_integer(data, "BitsStored")
    high = read_integer(data, "HighBit", stored - 1)
    if (
        allocated not in (8, 16)
        or not 1 <= stored <= allocated
        or not stored <= high + 1 <= allocated
    ):
        reject(
            "has an impossible bit layout",
            "8 or 16 bits allocated, bits stored and high bit within them",
            f"allocated {allocated}, stored {stored}, high bit {high}",
        )


def is_for_processing(data: Any) -> bool:
    """Return whether an image is raw detector data, by its SOP class or its intent."""
    intent = str(data.get("PresentationIntentType") or "").strip().upper()
    return str(data.get("SOPClassUID") or "") in _FOR_PROCESSING or intent == "FOR PROCESSING"


def read_modality(data: Any) -> str | None:
    """Return the modality; `unknown` for a value that DICOM does not define, None if empty."""
    word = str(data.get("Modality") or "").strip().upper()
    return word if word in _MODALITIES else "unknown" if word else None


def read_photometric(data: Any) -> str:
    """Return the photometric interpretation; `unknown` for a value that DICOM does not define."""
    word = str(data.get("PhotometricInterpretation") or "")
    return word if word in _PHOTOMETRIC else "unknown"


def read_integer(data: Any, keyword: str, default: int = 0) -> int:
    """Return an integer field; the default if it is absent, 0 if it is not an integer."""
    value = data.get(keyword)
    try:
        return default if value is None or value == "" else int(value)
    except (TypeError, ValueError):
        return 0
