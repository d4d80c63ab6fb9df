"""Write the images of a published layout: DICOM files with its kind of header, or pictures."""

import io
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from mammo_core.errors import RecordError
from mammo_core.phantom.config import NOTICE, PhantomConfig
from mammo_core.phantom.dicom_files import (
    FILM_HEIGHT_MM,
    IMPLEMENTATION,
    MAMMOGRAM,
    ORIENTATION,
    PATIENT_NAME,
    add_pixels,
    code_sequence,
    view_code,
)
from mammo_core.phantom.draw import draw_scene, scan_scene
from mammo_core.phantom.film import to_stored
from mammo_core.phantom.layouts.layout import Corners, DrawnImage, Header, PlannedImage
from mammo_core.phantom.looks import LOOKS
from mammo_core.phantom.write import describe, write_file

_ENDINGS: Final = (".pgm", ".tif")
Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def write_image(
    root: Path, config: PhantomConfig, image: PlannedImage
) -> tuple[list[tuple[str, int, str]], bool, DrawnImage]:
    """Draw an image and write its file, unless it exists.

    Args:
        root: Folder of the tree.
        config: The phantom's parameters.
        image: The image.

    Returns:
        path, size and sha256 of the file; whether it was written now; the outlines of the lesions.
    """
    exists = (root / image.path).is_file()
    if exists and not image.view.lesions:
        return [describe(root, image.path)], False, DrawnImage(image, ())
    scene = draw_scene(config, image.view)
    outlines = tuple(_outline(mask) for mask in scene.masks)
    if exists:
        return [describe(root, image.path)], False, DrawnImage(image, outlines)
    pixels = scan_scene(config, image.view, scene, 0)
    stored = to_stored(pixels, image.view.bits_stored, image.view.photometric)
    content = (
        _dicom(config, image, image.header, stored) if image.header else _picture(image, stored)
    )
    return [write_file(root, image.path, content)], True, DrawnImage(image, outlines)


def _outline(mask: npt.NDArray[np.uint8]) -> Corners:
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:  # a lesion that the breast's edge hides
        raise RecordError(
            "A lesion of the phantom has no outline",
            expected="pixels in its mask",
            received="none",
        )
    largest = max(contours, key=lambda corners: (cv2.contourArea(corners), len(corners)))
    return np.asarray(largest, np.int32).reshape(-1, 2)


def _picture(image: PlannedImage, pixels: Pixels) -> bytes:
    ending = image.path[image.path.rindex(".") :]
    if ending not in _ENDINGS:
        raise RecordError(
            f"The phantom cannot write {image.path}",
            expected=", ".join(_ENDINGS),
            received=ending,
        )
    written, encoded = cv2.imencode(ending, pixels)
    if not written:
        raise RecordError(
            f"The phantom cannot write {image.path}", expected="a picture", received="none"
        )
    return bytes(encoded)


def _dicom(config: PhantomConfig, image: PlannedImage, header: Header, pixels: Pixels) -> bytes:
    view = image.view
    data = Dataset()
    data.PatientName = PATIENT_NAME
    data.PatientID = header.patient_id
    data.PatientIdentityRemoved = "YES"
    data.DeidentificationMethod = NOTICE
    data.SOPInstanceUID = header.sop_uid
    data.StudyInstanceUID = header.study_uid
    data.SeriesInstanceUID = header.series_uid
    data.InstanceNumber = 1
    data.ImageComments = f"{NOTICE}. Drawn by a program from random numbers."
    if header.described:
        _describe(data, header, view.view, config.height, LOOKS[view.vendor].manufacturer)
        data.PatientOrientation = ORIENTATION[view.laterality, view.view]
    if header.laterality:
        data.ImageLaterality = header.laterality
    if header.view_position:
        data.ViewPosition = header.view_position
    if header.view_code:
        data.ViewCodeSequence = view_code(header.view_code)
    if header.implant is not None:
        data.BreastImplantPresent = "YES" if header.implant else "NO"
    if header.study_date:
        data.StudyDate = header.study_date
    data.RescaleIntercept, data.RescaleSlope = "0", "1"
    add_pixels(data, pixels, view.bits_stored, view.photometric)
    return _file_bytes(data)


def _describe(data: Dataset, header: Header, view: str, height: int, manufacturer: str) -> None:
    data.SOPClassUID = MAMMOGRAM
    data.Modality = "MG"
    data.BodyPartExamined = "BREAST"
    data.Manufacturer = manufacturer
    data.ManufacturerModelName = "mammo phantom"
    data.PresentationIntentType = "FOR PRESENTATION"
    data.ImageType = ["DERIVED", "PRIMARY"]
    if header.synthetic:
        data.ImageType = ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]
    data.BurnedInAnnotation = "NO"
    data.ImagerPixelSpacing = [f"{FILM_HEIGHT_MM / height:.6f}"] * 2
    data.AnatomicRegionSequence = code_sequence("76752008", "Breast")


def _file_bytes(data: Any) -> bytes:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = MAMMOGRAM
    meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION
    meta.ImplementationVersionName = "MAMMO_PHANTOM"
    data.file_meta = meta
    data.AcquisitionContextSequence = Sequence()
    buffer = io.BytesIO()
    dcmwrite(buffer, data, enforce_file_format=True)
    return buffer.getvalue()
