"""The header of a DICOM file, by allow-list, and what cannot be read from it."""

from typing import Any, BinaryIO, Final

from mammo_core.dicom.fields import Fields, Header, read_fields
from mammo_core.errors import DicomError

_CODE: Final[Fields] = {"CodeValue": None, "CodeMeaning": None}
_TABLE: Final[Fields] = {"LUTDescriptor": None, "LUTData": None}
#: The only fields that are ever parsed: nothing of the patient, the study or the site.
ALLOWED: Final[Fields] = {
    **dict.fromkeys(
        (
            "SOPClassUID",
            "Modality",
            "Manufacturer",
            "PresentationIntentType",
            "ViewPosition",
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
    "ViewCodeSequence": _CODE,
    "ModalityLUTSequence": _TABLE,
    "VOILUTSequence": _TABLE,
    "AnatomicRegionSequence": {"AnatomicRegionModifierSequence": _CODE},
}

#: Terms of Modality (PS3.3 C.7.3.1.1.1) that we name. A damaged header can hold anything in
#: any field, a patient's name as well: words outside these lists are never repeated.
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

#: No mammogram comes near; an honest one has up to 40 million pixels.
MAXIMUM_PIXELS: Final = 100_000_000
#: Bytes of a data set of that size, with much room for what is not pixels.
MAXIMUM_BYTES: Final = 2 * MAXIMUM_PIXELS + 2**24

_FOR_PROCESSING: Final = (
    "1.2.840.10008.5.1.4.1.1.1.2.1",  # Digital Mammography X-Ray, For Processing
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray, For Processing
)
_TOMOSYNTHESIS: Final = "1.2.840.10008.5.1.4.1.1.13.1.3"


def read_header(file: BinaryIO, name: str) -> Header:
    """Read the allowed header fields of a DICOM file, pixels left alone.

    Args:
        file: The file, open.
        name: The file, for messages.

    Raises:
        DicomError: Not a DICOM file, no file meta group, no transfer syntax, a broken header,
            or one over a limit.
        OSError: The disk failed.
    """
    return read_fields(file, name, ALLOWED)


def raise_unless_missing(error: OSError, name: str) -> None:
    """Tell a file that is not there from a disk that fails.

    Args:
        error: What the operating system said.
        name: The file, for the message.

    Raises:
        DicomError: There is no such file, or it is a folder.
        OSError: Anything else: a fault of the machine is not a fault of the file.
    """
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
        raise DicomError(
            f"{name} cannot be opened", expected="a file", received=str(error.strerror)
        ) from error
    raise error


def check_header(data: Any, name: str, *, for_processing: bool = False) -> None:
    """Refuse what the header alone shows to be unreadable, before memory is taken.

    Args:
        data: The allowed header fields (pydicom Dataset).
        name: The file, for messages.
        for_processing: Whether For Processing images are taken.

    Raises:
        DicomError: No image, tomosynthesis, multi-frame, palette, colour, For Processing, too
            many pixels, or an impossible bit layout.
    """

    def refuse(problem: str, expected: str, received: str, hint: str | None = None) -> None:
        raise DicomError(f"{name} {problem}", expected=expected, received=received, hint=hint)

    rows, columns = whole(data, "Rows"), whole(data, "Columns")
    if not rows or not columns:
        refuse(
            "has no pixels", "Rows and Columns", f"neither; modality {modality_of(data) or 'none'}"
        )
    frames = whole(data, "NumberOfFrames", 1) or 1
    sop_class = str(data.get("SOPClassUID") or "")
    if sop_class == _TOMOSYNTHESIS:
        refuse(
            "is a tomosynthesis volume",
            "one image",
            f"{frames} frames",
            "A tomosynthesis volume needs its synthetic two-dimensional view",
        )
    if frames > 1:
        refuse("is multi-frame", "one frame", f"{frames} frames")
    samples = whole(data, "SamplesPerPixel", 1)
    photometric = str(data.get("PhotometricInterpretation") or "")
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        kind = (
            "is a palette image, not a gray image"
            if photometric == "PALETTE COLOR"
            else "is a colour image, not a gray image"
            if samples == 3
            else "is not a gray image"
        )
        refuse(
            kind,
            "one sample per pixel, MONOCHROME1 or MONOCHROME2",
            f"{samples} samples, "
            + (photometric if photometric in _PHOTOMETRIC else "no such interpretation"),
        )
    if not for_processing and is_for_processing(data):
        refuse(
            "is a For Processing image",
            "an image For Presentation",
            "raw detector data",
            "Send the image that the vendor processed for reading",
        )
    if rows * columns > MAXIMUM_PIXELS:
        refuse("claims too many pixels", f"at most {MAXIMUM_PIXELS} pixels", f"{rows}x{columns}")
    allocated, stored = whole(data, "BitsAllocated"), whole(data, "BitsStored")
    high = whole(data, "HighBit", stored - 1)
    if (
        allocated not in (8, 16)
        or not 1 <= stored <= allocated
        or not stored <= high + 1 <= allocated
    ):
        refuse(
            "has an impossible bit layout",
            "8 or 16 bits allocated, bits stored and high bit within them",
            f"allocated {allocated}, stored {stored}, high bit {high}",
        )


def is_for_processing(data: Any) -> bool:
    """Return whether a header is one of raw detector data, by class or by intent."""
    intent = str(data.get("PresentationIntentType") or "").strip().upper()
    return str(data.get("SOPClassUID") or "") in _FOR_PROCESSING or intent == "FOR PROCESSING"


def modality_of(data: Any) -> str | None:
    """Return the modality; `unknown` for a word that is no term of DICOM, None without one."""
    word = str(data.get("Modality") or "").strip().upper()
    return word if word in _MODALITIES else "unknown" if word else None


def whole(data: Any, keyword: str, default: int = 0) -> int:
    """Return a whole number of a header; the default where it is absent, 0 where it is none."""
    value = data.get(keyword)
    try:
        return default if value is None or value == "" else int(value)
    except (TypeError, ValueError):
        return 0
