"""DICOM files of exams, and tables that name them."""

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian

from mammo_core.sources import SourceConfig
from tests.support.drawings import draw_breast

STUDY = "1.2.826.0.1.3680043.8.498.55"


def write_dicom(path, seed, patient="Zz-1", study="1", view="CC", side="L", day="", **fields):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = Dataset()
    data.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    data.SOPInstanceUID = f"{STUDY}.9.{seed}"
    data.PatientID, data.StudyInstanceUID = patient, f"{STUDY}.{study}"
    if day:
        data.StudyDate = day
    data.Modality, data.ImageLaterality, data.ViewPosition = "MG", side, view
    data.Rows, data.Columns, data.SamplesPerPixel, data.PixelRepresentation = 80, 64, 1, 0
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    for name, value in fields.items():
        setattr(data, name, value)
    pixels = draw_breast(seed, 12, (80, 64))
    data.PixelData = pixels.astype("<u2").tobytes()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.save_as(path, enforce_file_format=True)


@pytest.fixture(autouse=True)
def site_key(monkeypatch):
    monkeypatch.setenv("MAMMO_SITE_KEY", "a site key of the tests")


@pytest.fixture
def table(tmp_path):
    """A function that writes a table and returns its source."""

    def source(header, *rows):
        (tmp_path / "own.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return SourceConfig(
            adapter="table", root=str(tmp_path / "images"), tables=str(tmp_path / "own.csv")
        )

    source.images = tmp_path / "images"
    return source


HEADER = "image_path,patient_id,laterality,view,label"
