"""Synthetic DICOM files, each with one irregularity."""

import re

import numpy as np
import pytest
from dicom_files import mammogram, random_words, save
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from mammo_core.dicom import read_facts, read_image, require_mammogram
from mammo_core.errors import DicomError


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    ],
    ids=lambda syntax: syntax.name,
)
def test_uncompressed(tmp_path, syntax):
    words = random_words()
    data = mammogram(words)
    if syntax == ExplicitVRBigEndian:
        data.PixelData = words.astype(">u2").tobytes()
    image = read_image(save(data, tmp_path / "a.dcm", syntax))
    assert image.pixels.dtype == np.uint16
    assert np.array_equal(image.pixels, words)
    assert image.facts.transfer_syntax == syntax
    assert (image.facts.rows, image.facts.columns, image.facts.bits_stored) == (80, 70, 12)


@pytest.mark.parametrize(
    ("syntax", "plugin"), [(RLELossless, "pylibjpeg"), (JPEG2000Lossless, "pylibjpeg")]
)
def test_lossless_compression(tmp_path, syntax, plugin):
    words = random_words()
    data = mammogram(words)
    data.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert np.array_equal(read_image(tmp_path / "a.dcm").pixels, words)


def test_eight_bits(tmp_path):
    words = random_words(8, (80, 71))
    data = mammogram(words, 8, BitsAllocated=8, PixelData=words.astype(np.uint8).tobytes())
    assert np.array_equal(read_image(save(data, tmp_path / "a.dcm")).pixels, words)


def test_bits_outside_the_stored_bits_are_ignored(tmp_path):
    words = random_words(10)
    garbage = ((words << 4) | 0xC003).astype(np.uint16)  # bits 14, 15 and 0, 1 are not stored
    image = read_image(save(mammogram(garbage, 10, HighBit=13), tmp_path / "a.dcm"))
    assert np.array_equal(image.pixels, words)


def test_signed_values_start_at_zero(tmp_path):
    signed = (random_words().astype(np.int16) - 2048).astype(np.int16)
    data = mammogram(signed.view(np.uint16), PixelRepresentation=1)
    image = read_image(save(data, tmp_path / "a.dcm"))
    assert np.array_equal(image.pixels, random_words())


@pytest.mark.parametrize(
    "fields",
    [{"PhotometricInterpretation": "MONOCHROME1"}, {"RescaleSlope": "-1", "RescaleIntercept": "9"}],
    ids=["MONOCHROME1", "negative slope"],
)
def test_black_is_zero(tmp_path, fields):
    image = read_image(save(mammogram(random_words(), **fields), tmp_path / "a.dcm"))
    assert np.array_equal(image.pixels, 4095 - random_words())


def test_a_linear_rescale_keeps_the_gray_range(tmp_path):
    data = mammogram(random_words(), RescaleSlope="2.5", RescaleIntercept="-1024")
    assert np.array_equal(read_image(save(data, tmp_path / "a.dcm")).pixels, random_words())


def test_modality_lookup_table(tmp_path):
    item = Dataset()
    item.add_new(0x00283002, "US", [4096, 0, 10])
    item.add_new(0x00283006, "OW", (np.arange(4096) // 4).astype("<u2").tobytes())
    item.ModalityLUTType = "OD"
    data = mammogram(random_words(), ModalityLUTSequence=Sequence([item]))
    image = read_image(save(data, tmp_path / "a.dcm"))
    assert image.facts.bits_stored == 10
    assert np.array_equal(image.pixels, random_words() // 4)


@pytest.mark.parametrize(
    ("photometric", "limit"), [("MONOCHROME2", None), ("MONOCHROME1", None), ("MONOCHROME2", 3100)]
)
def test_padding_is_black(tmp_path, photometric, limit):
    words = random_words() % 3000
    words[:, :20] = 3000
    words[:, 20:25] = 3100
    data = mammogram(words, PhotometricInterpretation=photometric)
    data.add_new("PixelPaddingValue", "US", 3000)
    if limit:
        data.add_new("PixelPaddingRangeLimit", "US", limit)
    pixels = read_image(save(data, tmp_path / "a.dcm")).pixels
    assert (pixels[:, :20] == 0).all()
    assert (pixels[:, 20:25] == 0).all() == bool(limit)
    assert (pixels[:, 25:] > 0).any()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"NumberOfFrames": 3}, "multi-frame"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.13.1.3"}, "tomosynthesis"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "a color image"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "a palette image"),
        ({"PhotometricInterpretation": "MONOCHROME3"}, "not a gray image"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2.1"}, "For Processing"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "For Processing"),
        ({"PixelData": None}, "has no pixels"),
        ({"PixelData": b""}, "has no pixels"),
        ({"Rows": None}, "has no pixels"),
        ({"PixelData": b"\0" * 11000}, "truncated pixels"),
        ({"Rows": 65535, "Columns": 65535}, "too many pixels"),
        ({"BitsAllocated": 32}, "bit layout"),
        ({"BitsStored": 17}, "bit layout"),
        ({"HighBit": 20}, "bit layout"),
        ({"HighBit": 3}, "bit layout"),
        ({"RescaleSlope": "0"}, "rescale slope"),
    ],
)
def test_every_error_states_its_reason(tmp_path, fields, reason):
    path = save(mammogram(random_words(), **fields), tmp_path / "a.dcm")
    with pytest.raises(DicomError, match=reason) as caught:
        read_image(path, "folder/a.dcm")
    assert str(caught.value).startswith("folder/a.dcm ")
    assert str(tmp_path) not in str(caught.value)
    assert "PLANTED" not in repr(caught.value)


@pytest.mark.parametrize("modality", ["MR", "CT", "NM", "SR", "US", "PT", "SEG"])
def test_other_modalities_are_rejected(tmp_path, modality):
    path = save(mammogram(random_words(), Modality=modality), tmp_path / "a.dcm")
    with pytest.raises(DicomError, match=f"not a mammogram.*modality {modality}"):
        require_mammogram(read_image(path).facts)
    with pytest.raises(DicomError, match=f"modality {modality}"):
        read_image(path, mammogram=True)


@pytest.mark.parametrize("modality", ["MG", "RG", "CR", "DX", "OT", "SC", "", None])
def test_mammography_and_film_are_accepted(tmp_path, modality):
    path = save(mammogram(random_words(), Modality=modality), tmp_path / "a.dcm")
    assert read_image(path, mammogram=True).facts.modality == (modality or None)


def test_small_images_are_rejected(tmp_path):
    path = save(mammogram(random_words(shape=(63, 200))), tmp_path / "a.dcm")
    with pytest.raises(DicomError, match="too small"):
        require_mammogram(read_image(path).facts)


def test_an_unknown_transfer_syntax_is_rejected(tmp_path):
    data = mammogram(random_words())
    path = save(data, tmp_path / "a.dcm")
    mpeg = b"1.2.840.10008.1.2.4.100\0"
    old = b"1.2.840.10008.1.2.1\0"
    raw = path.read_bytes().replace(
        b"UI" + len(old).to_bytes(2, "little") + old, b"UI" + len(mpeg).to_bytes(2, "little") + mpeg
    )
    length = re.search(rb"\x02\0\0\0UL\x04\0(....)", raw, re.S)
    grown = int.from_bytes(length[1], "little") + len(mpeg) - len(old)
    raw = raw[: length.start(1)] + grown.to_bytes(4, "little") + raw[length.end(1) :]
    path.write_bytes(raw)
    with pytest.raises(DicomError, match="unsupported transfer syntax"):
        read_image(path)


@pytest.mark.filterwarnings("ignore:::pydicom")
def test_flipped_bytes_never_reveal_the_patient(tmp_path, caplog):
    raw = bytearray(save(mammogram(random_words()), tmp_path / "a.dcm").read_bytes())
    path = tmp_path / "b.dcm"
    draw = np.random.default_rng(3)
    for _ in range(400):
        bad = bytearray(raw)
        for position in draw.integers(128, 900, 4):
            bad[position] = draw.integers(0, 256)
        path.write_bytes(bad)
        try:
            read_image(path)
        except DicomError as error:
            assert "PLANTED" not in str(error)
    assert "PLANTED" not in caplog.text


def test_a_missing_file_is_reported(tmp_path):
    for path in (tmp_path / "none.dcm", tmp_path):
        for read in (read_image, read_facts):
            with pytest.raises(DicomError, match="cannot be opened"):
                read(path)


def test_facts_contain_laterality_view_and_spacing_but_no_patient(tmp_path):
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "R-10226", "SRT", "MLO"
    data = mammogram(
        random_words(),
        ImageLaterality="L",
        ViewCodeSequence=Sequence([code]),
        ImagerPixelSpacing=[0.07, 0.07],
    )
    facts = read_facts(save(data, tmp_path / "a.dcm"))
    assert (facts.laterality, facts.view) == ("LEFT", "MLO")
    assert (facts.spacing_mm, facts.spacing_source) == (0.07, "ImagerPixelSpacing")
    assert "PLANTED" not in facts.model_dump_json()
    assert "1901" not in facts.model_dump_json()


def test_a_dicom_file_with_a_tiff_header_in_its_preamble(tmp_path):
    path = save(mammogram(random_words()), tmp_path / "a.tif")
    raw = path.read_bytes()
    path.write_bytes(b"II*\0" + raw[4:])
    assert read_image(path).facts.modality == "MG"


@pytest.mark.parametrize(
    "fields",
    [
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2.1"},
        {"PresentationIntentType": "FOR PROCESSING"},
    ],
)
def test_for_processing_is_accepted_if_allowed(tmp_path, fields):
    path = save(mammogram(random_words(), **fields), tmp_path / "a.dcm")
    image = read_image(path, for_processing=True)
    assert np.array_equal(image.pixels, random_words())
    assert image.facts.for_processing
    assert read_facts(path, for_processing=True).for_processing
    with pytest.raises(DicomError, match="For Processing"):
        read_facts(path)


@pytest.mark.parametrize(
    ("fields", "spacing", "source"),
    [
        ({"PixelSpacing": [0.05, 0.05], "ImagerPixelSpacing": [0.07, 0.07]}, 0.05, "PixelSpacing"),
        ({"ImagerPixelSpacing": [0.07, 0.07]}, 0.07, "ImagerPixelSpacing"),
        ({"NominalScannedPixelSpacing": [0.04, 0.04]}, 0.04, "NominalScannedPixelSpacing"),
        ({"PixelSpacing": [0.05, 0.09]}, None, None),
        ({"PixelSpacing": [0, 0]}, None, None),
        ({}, None, None),
    ],
)
def test_spacing_and_its_source(tmp_path, fields, spacing, source):
    facts = read_facts(save(mammogram(random_words(), **fields), tmp_path / "a.dcm"))
    assert (facts.spacing_mm, facts.spacing_source) == (spacing, source)
