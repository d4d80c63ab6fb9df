"""Pixels that are truncated, too many, or of another size than the header states."""

import zlib

import pydicom
import pytest
from dicom_files import mammogram, random_words, save, save_frame
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from mammo_core.dicom import read_image
from mammo_core.errors import DicomError


def test_a_deflate_bomb_is_rejected_before_memory_is_allocated(tmp_path):
    path = save(mammogram(random_words()), tmp_path / "a.dcm", DeflatedExplicitVRLittleEndian)
    meta = pydicom.filereader.read_file_meta_info(path)
    start = 144 + meta.FileMetaInformationGroupLength
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(compressor.compress(b"\0" * 2**24) for _ in range(14)) + compressor.flush()
    path.write_bytes(path.read_bytes()[:start] + bomb)
    with pytest.raises(DicomError, match="deflated header that exceeds"):
        read_image(path)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
def test_truncated_codestreams_are_rejected(tmp_path, syntax, kept, capfd):
    data = mammogram(random_words())
    data.compress(syntax, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    frame = pydicom.encaps.get_frame(data.PixelData, 0, number_of_frames=1)
    data.PixelData = pydicom.encaps.encapsulate([frame[: int(kept * len(frame)) // 2 * 2]])
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(DicomError):
        read_image(tmp_path / "a.dcm")
    assert capfd.readouterr().err == ""


def test_a_codestream_of_another_size_is_rejected(tmp_path):
    data = mammogram(random_words())
    data.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    data.Rows = 81
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(DicomError, match=r"another size.*80x70"):
        read_image(tmp_path / "a.dcm")


@pytest.mark.parametrize("length", [0, 1, 100, 131, 132, 140, 200, 400, 700, 5000])
def test_a_truncated_file_is_rejected(tmp_path, length):
    path = save(mammogram(random_words()), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DicomError):
        read_image(path)


def test_an_oversized_file_is_rejected_before_memory_is_allocated(tmp_path):
    # 4 GB of Pixel Data (sparse) under a header of 80x70, which needs 11200 bytes.
    path = save(mammogram(random_words()), tmp_path / "a.dcm")
    raw = bytearray(path.read_bytes())
    start = raw.index(b"\xe0\x7f\x10\x00OW") + 8
    raw[start : start + 4] = (2**32 - 2).to_bytes(4, "little")
    path.write_bytes(raw)
    with path.open("r+b") as file:
        file.truncate(2**32)
    with pytest.raises(DicomError, match=r"more pixels than its header states.*11200 bytes"):
        read_image(path)


def test_too_many_compressed_bytes_are_rejected(tmp_path):
    data = mammogram(random_words())
    data.compress(RLELossless, generate_instance_uid=False)
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with (tmp_path / "a.dcm").open("r+b") as file:
        file.truncate(2**32)
    with pytest.raises(DicomError, match="compressed frame that exceeds the limits"):
        read_image(tmp_path / "a.dcm")


@pytest.mark.parametrize("compressed", [True, False])
def test_pixels_that_do_not_match_the_transfer_syntax_are_rejected(tmp_path, compressed):
    data = mammogram(random_words())
    if compressed:
        data.compress(RLELossless, generate_instance_uid=False)
    path = tmp_path / "a.dcm"
    data.save_as(path, enforce_file_format=True)
    raw = bytearray(path.read_bytes())
    start = raw.index(b"\xe0\x7f\x10\x00O") + 8
    raw[start : start + 4] = b"\x00\x10\0\0" if compressed else b"\xff" * 4
    path.write_bytes(raw)
    with pytest.raises(DicomError, match="do not match its transfer syntax"):
        read_image(path)


@pytest.mark.parametrize("claim", [(60000, 60000), (10001, 10000), (2**16 - 1, 1600)])
def test_a_header_with_too_many_pixels_is_rejected(tmp_path, claim):
    data = mammogram(random_words())
    data.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    data.Rows, data.Columns = claim
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(DicomError, match="too many pixels"):
        read_image(tmp_path / "a.dcm")


def test_a_codestream_larger_than_its_header_is_rejected(tmp_path):
    data = mammogram(random_words())
    data.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    frame = bytearray(pydicom.encaps.get_frame(data.PixelData, 0, number_of_frames=1))
    start = frame.index(b"\xff\x51") + 6
    frame[start : start + 8] = (60000).to_bytes(4, "big") * 2
    save_frame(data, tmp_path / "a.dcm", JPEG2000Lossless, bytes(frame))
    with pytest.raises(DicomError, match="another size"):
        read_image(tmp_path / "a.dcm")
