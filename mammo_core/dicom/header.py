"""The header of a DICOM file, by allow-list, and what cannot be read from it."""

import contextlib
import re
import zlib
from pathlib import Path
from typing import Any, Final

from mammo_core.dicom.facts import ImageFacts
from mammo_core.dicom.views import laterality_of, view_of
from mammo_core.errors import DicomError

#: The only fields that are ever parsed: nothing of the patient, the study or the site.
ALLOWED: Final = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "Modality",
    "PresentationIntentType",
    "ViewPosition",
    "ViewCodeSequence",
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
    "ModalityLUTSequence",
)

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
_MAXIMUM_INFLATED: Final = 2 * MAXIMUM_PIXELS + 2**24

_FOR_PROCESSING: Final = (
    "1.2.840.10008.5.1.4.1.1.1.2.1",  # Digital Mammography X-Ray, For Processing
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray, For Processing
)
_TOMOSYNTHESIS: Final = "1.2.840.10008.5.1.4.1.1.13.1.3"
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"


def read_header(path: Path, name: str) -> Any:
    """Read the allowed header fields of a DICOM file, pixels left alone.

    Args:
        path: The file.
        name: The file, for messages.

    Returns:
        A pydicom Dataset with a file meta group that names a transfer syntax.

    Raises:
        DicomError: Not a DICOM file, no file meta group, no transfer syntax, a broken header.
    """
    return _dcmread(path, name, list(ALLOWED), stop_before_pixels=True)


def read_with_pixels(path: Path, name: str) -> Any:
    """Read the allowed header fields and the encoded pixels of a DICOM file.

    Args:
        path: The file, of which `check_header` has accepted the header.
        name: The file, for messages.

    Returns:
        A pydicom Dataset that may have PixelData.

    Raises:
        DicomError: The file cannot be parsed.
    """
    return _dcmread(path, name, [*ALLOWED, "PixelData"], stop_before_pixels=False)


def _dcmread(path: Path, name: str, tags: list[str], *, stop_before_pixels: bool) -> Any:
    import pydicom
    from pydicom import config
    from pydicom.errors import InvalidDicomError

    # Validation only warns, and its warnings quote what is in the header.
    config.settings.reading_validation_mode = config.IGNORE
    try:
        _bound_deflated(path, name)
        data = pydicom.dcmread(path, stop_before_pixels=stop_before_pixels, specific_tags=tags)
        for _ in data.iterall():
            pass  # Values are parsed when they are touched: meet every fault here.
        return _with_syntax(data, name)
    except InvalidDicomError as error:
        raise DicomError(
            f"{name} is not a DICOM file, or has no file meta group",
            expected="a DICOM Part 10 file: 128 bytes, DICM, file meta group",
            received="other bytes",
        ) from error
    except (DicomError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise_unless_missing(error, name)
        # The text of a parser's error can quote a value: its kind is enough.
        raise DicomError(
            f"{name} has a header that cannot be parsed",
            expected="a DICOM data set as PS3.10 has it",
            received=f"{type(error).__name__} while parsing",
        ) from error


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


def _with_syntax(data: Any, name: str) -> Any:
    if not re.fullmatch(r"[0-9.]{1,64}", str(data.file_meta.get("TransferSyntaxUID") or "")):
        raise DicomError(
            f"{name} names no transfer syntax",
            expected="Transfer Syntax UID (0002,0010) in the file meta group",
            received="none",
        )
    return data


def _bound_deflated(path: Path, name: str) -> None:
    """Refuse a deflated data set that would inflate beyond any mammogram (1029:1 seen)."""
    from pydicom.filereader import read_file_meta_info

    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != _DEFLATED:
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    total = 0
    with path.open("rb") as file:
        # Preamble 128, DICM 4, the group length element 12, and what it counts (PS3.10 7.1).
        file.seek(144 + int(meta.FileMetaInformationGroupLength))
        while not inflater.eof:
            chunk = inflater.unconsumed_tail or file.read(2**16)
            if not chunk:
                break
            total += len(inflater.decompress(chunk, 2**22))
            if total > _MAXIMUM_INFLATED:
                raise DicomError(
                    f"{name} inflates beyond any mammogram",
                    expected=f"at most {_MAXIMUM_INFLATED} bytes",
                    received="more",
                )


def check_header(data: Any, name: str) -> None:
    """Refuse what the header alone shows to be unreadable, before memory is taken.

    Args:
        data: The allowed header fields (pydicom Dataset).
        name: The file, for messages.

    Raises:
        DicomError: No image, multi-frame or tomosynthesis, colour, For Processing, too many
            pixels, or an impossible bit layout.
    """

    def refuse(problem: str, expected: str, received: str, hint: str | None = None) -> None:
        raise DicomError(f"{name} {problem}", expected=expected, received=received, hint=hint)

    rows, columns = _whole(data, "Rows"), _whole(data, "Columns")
    if not rows or not columns:
        refuse(
            "has no pixels", "Rows and Columns", f"neither; modality {_modality(data) or 'none'}"
        )
    frames = _whole(data, "NumberOfFrames", 1) or 1
    sop_class = str(data.get("SOPClassUID") or "")
    if frames > 1 or sop_class == _TOMOSYNTHESIS:
        refuse(
            "is multi-frame" if frames > 1 else "is a tomosynthesis image",
            "one frame",
            f"{frames} frames",
            "A tomosynthesis volume needs its synthetic two-dimensional view",
        )
    samples = _whole(data, "SamplesPerPixel", 1)
    photometric = str(data.get("PhotometricInterpretation") or "")
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        refuse(
            "is not a gray image",
            "one sample per pixel, MONOCHROME1 or MONOCHROME2",
            f"{samples} samples, "
            + (photometric if photometric in _PHOTOMETRIC else "no such interpretation"),
        )
    intent = str(data.get("PresentationIntentType") or "").upper()
    if sop_class in _FOR_PROCESSING or intent == "FOR PROCESSING":
        refuse(
            "is a For Processing image",
            "an image For Presentation",
            "raw detector data",
            "Send the image that the vendor processed for reading",
        )
    if rows * columns > MAXIMUM_PIXELS:
        refuse("claims too many pixels", f"at most {MAXIMUM_PIXELS} pixels", f"{rows}x{columns}")
    allocated, stored = _whole(data, "BitsAllocated"), _whole(data, "BitsStored")
    high = _whole(data, "HighBit", stored - 1)
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


def facts_of(data: Any) -> ImageFacts:
    """Return the facts of a header that `check_header` has accepted.

    Args:
        data: The allowed header fields (pydicom Dataset).
    """
    view = view_of(str(data.get("ViewPosition") or ""))
    for item in data.get("ViewCodeSequence") or []:
        view = view or view_of(str(item.get("CodeValue") or ""))
    spacing, source = _spacing(data)
    return ImageFacts(
        transfer_syntax=str(data.file_meta.TransferSyntaxUID),
        photometric=str(data.PhotometricInterpretation),
        modality=_modality(data),
        rows=int(data.Rows),
        columns=int(data.Columns),
        bits_stored=int(data.BitsStored),
        laterality=laterality_of(str(data.get("ImageLaterality") or ""))
        or laterality_of(str(data.get("Laterality") or "")),
        view=view,
        spacing_mm=spacing,
        spacing_source=source,
    )


def _modality(data: Any) -> str | None:
    word = str(data.get("Modality") or "").strip().upper()
    return word if word in _MODALITIES else "unknown" if word else None


def _spacing(data: Any) -> tuple[float | None, str | None]:
    # PS3.3 10.7.1.3: Pixel Spacing is the calibrated one where both are there.
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        with contextlib.suppress(TypeError, ValueError, AttributeError):
            down, across = (float(value) for value in data.get(keyword))
            if down > 0 and abs(across / down - 1) <= 0.01:
                return down, keyword
    return None, None


def _whole(data: Any, keyword: str, default: int = 0) -> int:
    value = data.get(keyword)
    try:
        return default if value is None or value == "" else int(value)
    except (TypeError, ValueError):
        return 0
