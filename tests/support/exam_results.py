"""Exams of DICOM files with patients, and their score records."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian

from mammo_core.results.exam_record import ExamRecord, ImageRecord, ModelRecord, ScoreRecord
from tests.support.drawings import draw_breast

#: Planted: it may be in the results' modules of patient and study and nowhere else.
PATIENT = "Yamada^Tarou=山田^太郎"
CHARACTER_SETS = ["", "ISO 2022 IR 87"]  # PS3.5 H.3.1
STUDY = "2.25.1000"
BEGAN = "2026-11-30T09:30:15+01:00"


def write_image(
    path, number, *, laterality="L", view="CC", study=STUDY, patient="P-1", pixels=None, **fields
):
    """Write a For Presentation mammogram of an exam; None removes a field."""
    data = Dataset()
    data.SpecificCharacterSet = CHARACTER_SETS
    data.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    data.SOPInstanceUID, data.SeriesInstanceUID = f"2.25.3{number}", f"2.25.2{number}"
    data.StudyInstanceUID, data.StudyID = study, "S1"
    data.StudyDate, data.StudyTime = "20250102", "101112"
    data.AccessionNumber, data.StudyDescription = "A1", "Screening"
    data.PatientName, data.PatientID = PATIENT, patient
    data.PatientBirthDate, data.PatientSex = "19600101", "F"
    data.ReferringPhysicianName = "Referrer^A"
    data.Modality, data.Manufacturer = "MG", "Maker"
    data.ImageLaterality, data.ViewPosition = laterality, view
    data.PresentationIntentType = "FOR PRESENTATION"
    data.ImagerPixelSpacing = [0.1, 0.1]
    image = draw_breast(number) if pixels is None else pixels
    data.Rows, data.Columns = image.shape
    data.SamplesPerPixel, data.PixelRepresentation = 1, 0
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    for keyword, value in fields.items():
        if value is None:
            del data[keyword]
        else:
            setattr(data, keyword, value)
    data.PixelData = np.asarray(image, "<u2").tobytes()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


SCORE = ScoreRecord(probability=0.71, calibrated=0.123456, decision="positive")
MODEL = ModelRecord(
    name="whole-image",
    version="3",
    model_id="ab" * 32,
    weight=1.0,
    settings=("image level, operating point specificity-0.80, threshold 0.5",),
)
TRIANGLE = [[10, 20], [30, 20], [30, 60], [10, 20]]


def exam(images=("RIGHT CC", "LEFT CC"), **changes):
    """Return a record with one finding in its first image."""
    region = {
        "rank": 1,
        "kind": "patch classifier",
        "peak": 0.9,
        "mean": 0.7,
        "outline": TRIANGLE,
    }
    records = [
        ImageRecord(
            id=f"{number:064x}",
            laterality=name.split()[0],
            view=name.split()[1],
            spacing_mm=0.1,
            is_used=True,
            is_unlike=number == 2,
            warnings=(("vendor", "vendor x is outside the training data"),) if number == 1 else (),
            score=SCORE,
            regions=(region,) if number == 1 else (),
        )
        for number, name in enumerate(images, start=1)
    ]
    values = {
        "began": BEGAN,
        "unit": "image",
        "models": (MODEL,),
        "images": tuple(records),
        "breasts": {"LEFT": SCORE, "RIGHT": ScoreRecord(probability=0.2, calibrated=0.1)},
        "exam": SCORE.model_copy(update={"decision": "", "no_decision": "unlike_training"}),
    }
    return ExamRecord(**values | changes)
