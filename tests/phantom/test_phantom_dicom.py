"""The files are valid DICOM (PS3.10), and their headers say that they are synthetic."""

import hashlib
from collections import defaultdict
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import validate_value

from mammo_core.phantom.config import NOTICE


@pytest.fixture(scope="module")
def headers(original_tree: Path) -> dict[Path, pydicom.Dataset]:
    return {path: pydicom.dcmread(path) for path in sorted(original_tree.rglob("*.dcm"))}


def test_files_are_valid(headers: dict[Path, pydicom.Dataset]) -> None:
    for path, header in headers.items():
        meta = header.file_meta
        pydicom.dataset.validate_file_meta(meta, enforce_standard=True)
        assert meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert meta.MediaStorageSOPInstanceUID == header.SOPInstanceUID
        for element in header:
            if element.VR not in ("SQ", "OB", "OW"):
                values = element.value if element.VM > 1 else [element.value]
                for value in values:
                    text = value if element.VR in ("US", "SS", "UL") else str(value)
                    validate_value(element.VR, text, pydicom.config.RAISE)
        expected = header.Rows * header.Columns * header.BitsAllocated // 8
        assert len(header.PixelData) == expected + expected % 2, path
        assert int(header.pixel_array.max()) < 2**header.BitsStored


def test_files_say_that_they_are_synthetic(headers: dict[Path, pydicom.Dataset]) -> None:
    for header in headers.values():
        assert header.PatientName == "PHANTOM^SYNTHETIC"
        assert header.PatientIdentityRemoved == "YES"
        assert header.BurnedInAnnotation == "NO"
        for field in ("ImageComments", "DerivationDescription", "InstitutionName"):
            assert NOTICE in header[field].value


def test_mammograms_are_mammograms_and_the_rest_secondary_captures(
    headers: dict[Path, pydicom.Dataset],
) -> None:
    for header in headers.values():
        assert header.Modality == "MG"
        if header.SeriesDescription == "full mammogram images":
            assert header.SOPClassUID == "1.2.840.10008.5.1.4.1.1.1.2"
            assert header.ImageLaterality in ("L", "R") and header.ViewPosition in ("CC", "MLO")
            assert header.ImagerPixelSpacing == [2.5, 2.5]  # 240 mm of film, 96 rows
        else:
            assert header.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"


def test_header_and_folder_agree(original_tree: Path, headers: dict[Path, pydicom.Dataset]) -> None:
    copies: dict[str, list[Path]] = defaultdict(list)
    for path in headers:
        copies[hashlib.sha256(path.read_bytes()).hexdigest()].append(path)
    for same in copies.values():
        # One of byte-identical files is in the folder that its header names.
        in_named_folder = []
        for path in same:
            folder, study, series, _ = path.relative_to(original_tree).parts
            header = headers[path]
            identifiers = (header.PatientID, header.StudyInstanceUID, header.SeriesInstanceUID)
            in_named_folder.append(identifiers == (folder, study, series))
            if header.SeriesDescription == "full mammogram images":
                assert folder.split("_")[3:] == [
                    {"L": "LEFT", "R": "RIGHT"}[header.ImageLaterality],
                    header.ViewPosition,
                ]
        assert sum(in_named_folder) == 1
    assert any(len(same) == 2 for same in copies.values())


def test_a_view_in_both_tables_can_have_two_different_files(
    headers: dict[Path, pydicom.Dataset],
) -> None:
    views: dict[str, set[bytes]] = defaultdict(set)
    for header in headers.values():
        if header.SeriesDescription == "full mammogram images":
            views[header.PatientID.split("_", 1)[1]].add(header.PixelData)
    assert max(map(len, views.values())) == 2


def test_bit_depths_and_photometric_interpretations(headers: dict[Path, pydicom.Dataset]) -> None:
    full = [h for h in headers.values() if h.SeriesDescription == "full mammogram images"]
    assert {(h.BitsStored, h.BitsAllocated) for h in full} == {(8, 8), (12, 16), (16, 16)}
    inverted = [h for h in full if h.PhotometricInterpretation == "MONOCHROME1"]
    assert 0 < len(inverted) < len(full) / 4
    for header in full:
        # Film is mostly dark; MONOCHROME1 is stored inverted.
        mean = header.pixel_array.mean() / (2**header.BitsStored - 1)
        assert (mean > 0.5) == (header.PhotometricInterpretation == "MONOCHROME1")
