"""`index` compares Patient Orientation with the side of the source and with the tissue."""

import json

import numpy as np
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from mammo_core.sources import SourceConfig, index
from mammo_core.sources.files.file_inspection import inspect_files

HEADER = "image_path,patient_id,laterality,view,label\n"


def draw(chest_wall):
    """A drawn breast: `(h, w) uint16, [0, 4095]`, its chest wall at the left or the right."""
    y, x = np.mgrid[-1:1:128j, 0:1:96j]
    noise = np.random.default_rng(1).normal(0, 40, y.shape)
    tissue = 2200 + 700 * np.cos(3 * y) * (1 - x) + noise
    picture = np.where(y**2 + (x / 0.8) ** 2 < 0.9, tissue, 0).clip(0, 4095).astype(np.uint16)
    return picture if chest_wall == "left" else np.ascontiguousarray(picture[:, ::-1])


def write(path, chest_wall, orientation):
    """A mammogram whose header states no side."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.Modality = meta.MediaStorageSOPClassUID, "MG"
    data.PatientOrientation = orientation
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns, data.PixelRepresentation = 128, 96, 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.PixelData = draw(chest_wall).tobytes()
    data.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize(
    ("side", "chest_wall", "orientation", "by_header", "by_pixels"),
    [
        # Rows of a left breast run to anterior: its chest wall is at the left.
        ("L", "left", ["A", "F"], [], []),
        ("R", "right", ["P", "F"], [], []),
        ("R", "left", ["A", "F"], ["orientation"], []),
        ("L", "right", ["P", "F"], ["orientation"], []),
        ("L", "right", ["A", "F"], [], ["chest_wall"]),
        ("R", "left", ["P", "F"], [], ["chest_wall"]),
        ("L", "right", None, [], []),  # films are scanned either way
    ],
)
def test_sides_are_compared(
    tmp_path, monkeypatch, side, chest_wall, orientation, by_header, by_pixels
):
    monkeypatch.setenv("MAMMO_SITE_KEY", "a site key of the tests")
    write(tmp_path / "1.dcm", chest_wall, orientation)
    (tmp_path / "own.csv").write_text(f"{HEADER}1.dcm,a,{side},CC,0\n")
    table = str(tmp_path / "own.csv")
    config = SourceConfig(adapter="table", root=str(tmp_path), tables=table)
    images = index(config).images
    warnings = json.loads(images["warnings"].iloc[0] or "[]")
    assert [warning["code"] for warning in warnings] == by_header
    of_pixels = next(iter(inspect_files(config.files(), images).warnings.values()), ())
    assert [warning.code for warning in of_pixels] == by_pixels
