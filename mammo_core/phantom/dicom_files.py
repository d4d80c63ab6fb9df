"""Pixels to DICOM files: Explicit VR Little Endian, uncompressed, marked as synthetic."""

import io

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from mammo_core.phantom.config import NOTICE
from mammo_core.phantom.files import FULL, PlannedFile
from mammo_core.phantom.looks import LOOKS, Look

PATIENT_NAME = "PHANTOM^SYNTHETIC"
FILM_HEIGHT_MM = 240.0  # 18 x 24 cm film
MAMMOGRAM = "1.2.840.10008.5.1.4.1.1.1.2"  # Digital Mammography X-Ray Image - For Presentation
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # what CBIS-DDSM's masks and crops are
IMPLEMENTATION = "2.25.241557935921893447163170183049906218497"
_DATE, _TIME = "20160720", "000000"  # fictitious
# CID 4014 of DICOM PS3.16, SNOMED CT codes.
_VIEW_CODE = {"CC": ("399162004", "cranio-caudal"), "MLO": ("399368009", "medio-lateral oblique")}
# Direction of rows and columns: anterior or posterior, then right, left, or foot and side.
ORIENTATION = {
    ("LEFT", "CC"): ["A", "R"],
    ("RIGHT", "CC"): ["P", "L"],
    ("LEFT", "MLO"): ["A", "FR"],
    ("RIGHT", "MLO"): ["P", "FL"],
}


def dicom_bytes(
    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16],
    file: PlannedFile,
    *,
    laterality: str,
    view: str,
    bits_stored: int,
    photometric: str,
    spacing_mm: float,
    look: Look = LOOKS[0],
) -> bytes:
    """Write one DICOM file of the tree: a mammogram, a crop or a mask.

    Args:
        pixels: (h, w) uint8 or uint16, [0, 2**bits_stored - 1], as stored.
        file: Its identifiers; its description is that of a mammogram, crop or mask.
        laterality: LEFT or RIGHT.
        view: CC or MLO.
        bits_stored: 8, 12 or 16.
        photometric: MONOCHROME1 or MONOCHROME2.
        spacing_mm: Distance of pixels on the film, in millimeters.
        look: The system of the image.

    Returns:
        A DICOM file (PS3.10) with preamble and file meta information: a mammogram is a Digital
        Mammography X-Ray Image For Presentation (PS3.3 A.27), crop and mask are Secondary
        Captures of modality MG, as in CBIS-DDSM.
    """
    full = file.description == FULL
    data = Dataset()
    data.SOPClassUID = MAMMOGRAM if full else _SECONDARY_CAPTURE
    data.SOPInstanceUID = file.sop_uid
    _identify(data, file)
    data.Manufacturer = look.manufacturer
    data.Modality = "MG"
    data.BodyPartExamined = "BREAST"
    data.PatientOrientation = ORIENTATION[laterality, view]
    if full:
        data.ImageType = ["DERIVED", "PRIMARY"]
        data.ImageLaterality = laterality[0]
        if look.synthetic:
            data.ImageType = ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]
        _mammogram(data, view, bits_stored, photometric, spacing_mm)
        if not look.film:
            data.DetectorType = "DIRECT"
    else:
        data.ImageType = ["DERIVED", "SECONDARY"]
        data.ConversionType = "SYN"  # synthetic image
        data.Laterality = laterality[0]
    data.BurnedInAnnotation = "NO"  # the labels name side and view, not a patient
    data.LossyImageCompression = "00"
    add_pixels(data, pixels, bits_stored, photometric)

    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = data.SOPClassUID
    meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION
    meta.ImplementationVersionName = "MAMMO_PHANTOM"
    data.file_meta = meta
    buffer = io.BytesIO()
    dcmwrite(buffer, data, enforce_file_format=True)
    return buffer.getvalue()


def _identify(data: Dataset, file: PlannedFile) -> None:
    data.PatientName = PATIENT_NAME
    data.PatientID = file.folder
    data.PatientBirthDate = ""
    data.PatientSex = ""
    data.PatientIdentityRemoved = "YES"
    data.DeidentificationMethod = NOTICE
    data.StudyInstanceUID = file.study_uid
    data.StudyDate = data.ContentDate = _DATE
    data.StudyTime = data.ContentTime = _TIME
    data.StudyID = "DDSM"
    data.AccessionNumber = ""
    data.ReferringPhysicianName = ""
    data.StudyDescription = NOTICE
    data.SeriesInstanceUID = file.series_uid
    data.SeriesNumber = 1
    data.SeriesDescription = file.description
    data.InstanceNumber = file.instance
    data.ManufacturerModelName = "mammo phantom"
    data.InstitutionName = NOTICE
    data.ImageComments = f"{NOTICE}. Drawn by a program from random numbers."
    data.DerivationDescription = f"{NOTICE}: {file.description}"


def _mammogram(
    data: Dataset, view: str, bits_stored: int, photometric: str, spacing_mm: float
) -> None:
    data.ViewPosition = view
    data.PresentationIntentType = "FOR PRESENTATION"
    data.ImagerPixelSpacing = [f"{spacing_mm:.6f}"] * 2
    data.PositionerType = "MAMMOGRAPHIC"
    data.DetectorType = "FILM"
    data.OrganExposed = "BREAST"
    data.PixelIntensityRelationship = "LOG"
    data.PixelIntensityRelationshipSign = 1 if photometric == "MONOCHROME1" else -1
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = "0", "1", "US"
    data.PresentationLUTShape = "INVERSE" if photometric == "MONOCHROME1" else "IDENTITY"
    data.WindowCenter, data.WindowWidth = str(1 << (bits_stored - 1)), str(1 << bits_stored)
    data.AcquisitionContextSequence = Sequence()
    data.AnatomicRegionSequence = code_sequence("76752008", "Breast")
    data.ViewCodeSequence = view_code(view)


def view_code(view: str) -> Sequence:
    """Return the View Code Sequence of a view.

    Args:
        view: CC or MLO.
    """
    return code_sequence(*_VIEW_CODE[view])


def code_sequence(value: str, meaning: str) -> Sequence:
    """Return a sequence of one SNOMED CT code.

    Args:
        value: Code Value.
        meaning: Code Meaning.
    """
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = "SCT"
    item.CodeMeaning = meaning
    return Sequence([item])


def add_pixels(
    data: Dataset,
    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16],
    bits_stored: int,
    photometric: str,
) -> None:
    """Add the pixels to a file, and what describes them.

    Args:
        data: The file.
        pixels: (h, w) uint8 or uint16, [0, 2**bits_stored - 1], as stored.
        bits_stored: 8, 12 or 16.
        photometric: MONOCHROME1 or MONOCHROME2.
    """
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = photometric
    data.PixelRepresentation = 0
    data.BitsAllocated = pixels.dtype.itemsize * 8
    data.BitsStored = bits_stored
    data.HighBit = bits_stored - 1
    raw = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()
    data.PixelData = raw + b"\x00" * (len(raw) % 2)
