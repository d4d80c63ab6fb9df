"""Exams that a table names are compared with the studies of the headers."""

import numpy as np
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from mammo_core.sources import SourceConfig, index

HEADER = "image_path,patient_id,laterality,view,label,exam_id\n"


def write(path, study, seed):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    meta.MediaStorageSOPInstanceUID = f"1.2.{seed}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.Modality, data.StudyInstanceUID = (
        meta.MediaStorageSOPClassUID,
        "MG",
        study,
    )
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns, data.PixelRepresentation = 80, 70, 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    words = np.random.default_rng(seed).integers(0, 4096, (80, 70), np.uint16)
    data.PixelData = words.tobytes()
    data.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize(
    ("studies", "exams", "counts"),
    [
        (("1.1", "1.1", "1.2"), ("e1", "e1", "e2"), None),
        (("1.1", "1.2", "1.3"), ("e1", "e1", "e2"), "1 exams have images of several studies"),
        (("1.1", "1.1", "1.2"), ("e1", "e2", "e2"), "the images of 1 studies are in several"),
    ],
    ids=["as the headers", "two visits in one exam", "one visit in two exams"],
)
def test_a_source_that_mixes_visits_is_reported(tmp_path, monkeypatch, studies, exams, counts):
    monkeypatch.setenv("MAMMO_SITE_KEY", "a site key of the tests")
    lines = []
    for number, (study, exam) in enumerate(zip(studies, exams, strict=True)):
        write(tmp_path / f"{number}.dcm", study, number)
        lines.append(f"{number}.dcm,a,L,{('CC', 'MLO')[number % 2]},0,{exam}\n")
    (tmp_path / "own.csv").write_text(HEADER + "".join(lines))
    root = str(tmp_path)
    config = SourceConfig(adapter="table", root=root, tables=str(tmp_path / "own.csv"))
    warnings = [
        warning["message"]
        for warning in index(config).facts["warnings"]
        if warning["code"] == "exams"
    ]
    assert len(warnings) == (counts is not None)
    assert counts is None or counts in warnings[0]
