"""What the pixels show, where header, codestream and pixels disagree: one file of each kind.

Each file is drawn. Expected are its gray levels, or why it is refused. pydicom is the second
opinion: where it gives other levels, the difference is explained.
"""

import gdcm
import numpy as np
import pydicom
import pytest
from drawn_files import (
    JPEG,
    JPEG_2000,
    PADDED,
    PICTURE,
    SIGNED,
    WORDS,
    by_gdcm,
    data_set,
    encapsulated,
    encode_2000,
    even,
    in_2000,
    items,
    native,
    padded,
    save,
    table,
)
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLSLossless, RLELossless

from mammo_core.dicom import read_image
from mammo_core.errors import DicomError

FULL = WORDS * 16 + WORDS // 256  # the picture over 16 bits
EIGHT = WORDS >> 4
HIGH = {"HighBit": 15}
FRAME = encode_2000(PICTURE, 12)


def overlay(words, position):
    """Return a data set that declares an overlay in one bit of its words (PS3.5 8.1.2)."""
    data = native(words)
    data.add_new(0x60000100, "US", 16)
    data.add_new(0x60000102, "US", position)
    return data


CHECKER = np.indices(PICTURE.shape).sum(axis=0) % 2

#: Frames that gdcm compressed, by name.
STREAMS = {}

#: Name → data set, expected levels, their bits, codes of warnings.
READ = {
    "plain": (lambda: native(WORDS), WORDS, 12, []),
    "eight bits": (lambda: data_set(EIGHT, 8, 8), EIGHT, 8, []),
    "an odd number of bytes": (
        lambda: data_set(EIGHT[:75, :75], 8, 8), EIGHT[:75, :75], 8, [],
    ),
    "MONOCHROME1": (
        lambda: native(4095 - WORDS, PhotometricInterpretation="MONOCHROME1"), WORDS, 12, [],
    ),
    "inverted": (lambda: native(4095 - WORDS), 4095 - WORDS, 12, ["bright_background"]),
    # Sign.
    "signed": (lambda: native(WORDS - 2048, **SIGNED), WORDS, 12, []),
    "signed, 13 bits without negative values": (lambda: native(WORDS, 13, **SIGNED), WORDS, 12, []),
    "signed, 16 bits without negative values": (
        lambda: native(WORDS, 16, **SIGNED), WORDS, 15, ["unused_range"],
    ),
    "signed, with its rescale": (
        lambda: native(WORDS - 1000, 13, **SIGNED, RescaleIntercept="1000", RescaleSlope="1"),
        WORDS, 13, [],
    ),
    "signed without sign extension": (
        lambda: native((WORDS - 2048) & 0xFFF, **SIGNED), WORDS, 12, [],
    ),
    # High Bit and the bits around the stored ones.
    "left justified": (lambda: native(WORDS << 4, **HIGH), WORDS, 12, []),
    "right justified under High Bit 15": (lambda: native(WORDS, **HIGH), WORDS, 12, ["high_bit"]),
    "right justified and signed under High Bit 15": (
        lambda: native(WORDS - 2048, **HIGH, **SIGNED), WORDS, 12, ["high_bit"],
    ),
    "left justified and signed": (
        lambda: native((WORDS - 2048) << 4, **HIGH, **SIGNED), WORDS, 12, [],
    ),
    "constant bits above": (lambda: native(WORDS | 0x8000), WORDS, 12, []),
    "a declared overlay above": (lambda: overlay(WORDS | CHECKER << 13, 13), WORDS, 12, []),
    "12 bits under 16": (lambda: native(WORDS, 16), WORDS, 16, ["unused_range"]),
    # Padding.
    "padding as US": (lambda: padded(4000, vr="US"), PADDED, 12, []),
    "padding as SS under unsigned pixels": (lambda: padded(-2000, vr="SS"), PADDED, 12, []),
    "padding as SS": (lambda: padded(-2000, vr="SS", bits=13, **SIGNED), PADDED, 12, []),
    "padding as US under signed pixels": (
        lambda: padded(-2000, vr="US", bits=13, **SIGNED), PADDED, 12, [],
    ),
    "padding outside the stored range": (
        lambda: padded(-32768, vr="SS", bits=13, **SIGNED), PADDED, 12, [],
    ),
    # Tables.
    "a modality table of 12 bits that states 16": (
        lambda: native(4095 - WORDS, **table("ModalityLUTSequence", range(4095, -1, -1), 16)),
        WORDS, 12, ["table_bits"],
    ),
    "a VOI table of 12 bits that states 16": (
        lambda: native(4095 - WORDS, **table("VOILUTSequence", range(4095, -1, -1), 16)),
        WORDS, 12, ["table_bits"],
    ),
    # Codestream and header.
    "8-bit JPEG under 12 bits": (
        lambda: encapsulated(STREAMS["JPEG_8"], f"{JPEG}70"), EIGHT, 8, ["precision"],
    ),
    "8-bit JPEG 2000 under 12 bits": (lambda: in_2000(EIGHT, 12, 8), EIGHT, 8, ["precision"]),
    "16-bit JPEG 2000 under 12 bits": (lambda: in_2000(FULL, 12, 16), FULL, 16, ["precision"]),
    "12-bit JPEG 2000 under 16 bits": (lambda: in_2000(WORDS, 16, 12), WORDS, 12, ["precision"]),
    "16-bit JPEG-LS under 12 bits": (
        lambda: encapsulated(STREAMS["JPEG_LS_16"], JPEGLSLossless), FULL, 16, ["precision"],
    ),
    # gdcm codes whole words, whatever the header states.
    "12 bits in 16-bit JPEG-LS": (
        lambda: encapsulated(STREAMS["JPEG_LS_12"], JPEGLSLossless), WORDS, 12, [],
    ),
    "12 bits in 16-bit lossless JPEG": (
        lambda: encapsulated(STREAMS["JPEG_12"], f"{JPEG}70"), WORDS, 12, [],
    ),
    "12 bits in 16-bit JPEG 2000": (lambda: in_2000(WORDS, 12, 16), WORDS, 12, []),
    "12 bits in 14-bit JPEG 2000": (lambda: in_2000(WORDS, 12, 14), WORDS, 12, ["precision"]),
    "signed JPEG 2000": (
        lambda: in_2000(WORDS - 2048, 12, 12, signed=True, **SIGNED), WORDS, 12, [],
    ),
    "signed JPEG 2000 under unsigned pixels": (
        lambda: in_2000(WORDS - 2048, 12, 12, signed=True), WORDS, 12, ["sign"],
    ),
    "unsigned JPEG 2000 under signed pixels": (
        lambda: in_2000(WORDS, 12, 12, **SIGNED), WORDS, 12, ["sign"],
    ),
    "left justified in 16-bit JPEG 2000": (
        lambda: in_2000(WORDS << 4, 12, 16, **HIGH), WORDS, 12, [],
    ),
    # Encapsulation.
    "JP2": (
        lambda: encapsulated(encode_2000(PICTURE, 12, boxes=True), JPEG_2000), WORDS, 12, [],
    ),
    "a Basic Offset Table": (
        lambda: encapsulated(FRAME, JPEG_2000, pixel_data=encapsulate([FRAME], has_bot=True)),
        WORDS, 12, [],
    ),
    "an empty Basic Offset Table": (
        lambda: encapsulated(FRAME, JPEG_2000, pixel_data=encapsulate([FRAME], has_bot=False)),
        WORDS, 12, [],
    ),
    "no Basic Offset Table": (
        lambda: encapsulated(FRAME, JPEG_2000, pixel_data=items(even(FRAME))), WORDS, 12, [],
    ),
    "RLE without Basic Offset Table": (
        lambda: encapsulated(b"", RLELossless, pixel_data=items(even(STREAMS["RLE"]))),
        WORDS, 12, [],
    ),
    "three fragments": (
        lambda: encapsulated(
            FRAME, JPEG_2000,
            pixel_data=items(b"", FRAME[:500], FRAME[500:1500], even(FRAME[1500:])),
        ),
        WORDS, 12, [],
    ),
}  # fmt: skip

#: Name → data set, why it is refused.
REFUSED = {
    "bits above the stored ones": (lambda: native(FULL), "bits outside the stored ones"),
    "an overlay that is not declared": (
        lambda: native(WORDS | CHECKER << 13), "bits outside the stored ones",
    ),
    "both high and low bits": (lambda: native(FULL, **HIGH), "bits outside the stored ones"),
    "three pages": (lambda: native(np.vstack([WORDS] * 3), Rows=96), "pixels of several images"),
    "an additional row": (
        lambda: native(np.vstack([WORDS, WORDS[:1]]), Rows=96), "more pixels than its header",
    ),
    "two additional bytes": (
        lambda: native(WORDS, PixelData=WORDS.astype("<u2").tobytes() + b"\0\0"),
        "more pixels than its header",
    ),
    "a missing row": (lambda: native(WORDS[:-1], Rows=96), "truncated pixels"),
    "negative values in an unsigned codestream": (
        lambda: in_2000((WORDS - 1000) & 0xFFFF, 16, 16, **SIGNED), "sign is unclear",
    ),
    "a table beyond its bits": (
        lambda: native(WORDS, **table("ModalityLUTSequence", range(4096), 10)),
        "invalid modality look-up table",
    ),
    "two offsets": (
        lambda: encapsulated(FRAME, JPEG_2000, pixel_data=encapsulate([FRAME, FRAME])),
        "pixels of several images",
    ),
    "two frames without offsets": (
        lambda: encapsulated(
            FRAME, JPEG_2000, pixel_data=encapsulate([FRAME, FRAME], has_bot=False)
        ),
        "pixels of several images",
    ),
    "two frames in one fragment": (
        lambda: encapsulated(FRAME, JPEG_2000, pixel_data=items(b"", even(FRAME + FRAME))),
        "pixels of several images",
    ),
    "an offset that is none": (
        lambda: encapsulated(FRAME, JPEG_2000, pixel_data=items(b"\x07\0\0\0", even(FRAME))),
        "invalid Basic Offset Table",
    ),
    "no end marker": (lambda: encapsulated(FRAME[:-2], JPEG_2000), "truncated pixels"),
    "JP2 without a codestream": (
        lambda: encapsulated(encode_2000(PICTURE, 12, boxes=True)[:60], JPEG_2000),
        "truncated pixels",
    ),
}  # fmt: skip

SIGN = "pydicom keeps the sign; we shift black to 0"
HIGH_BIT = "pydicom ignores High Bit"
PADDING = "pydicom keeps padding"
TABLES = "pydicom applies tables on request only"
BOT = "pydicom requires a Basic Offset Table"
#: Name → why pydicom reads other levels, and the levels that follow from its own; None where they
#: do not follow, or where it reads none.
DIFFERENCES = {
    "MONOCHROME1": ("pydicom does not invert", lambda other: 4095 - other),
    "signed": (SIGN, lambda other: other + 2048),
    "signed, with its rescale": (SIGN, lambda other: other + 1000),
    "signed without sign extension": (SIGN, lambda other: other + 2048),
    "right justified and signed under High Bit 15": (SIGN, lambda other: other + 2048),
    "left justified": (HIGH_BIT, None),
    "left justified and signed": (HIGH_BIT, None),
    "left justified in 16-bit JPEG 2000": (HIGH_BIT, lambda other: other >> 4),
    "padding as US": (PADDING, lambda other: np.where(other == 4000, 0, other)),
    "padding as SS under unsigned pixels": (PADDING, None),
    "padding as SS": (PADDING, lambda other: other.clip(0)),
    "padding as US under signed pixels": (PADDING, lambda other: other.clip(0)),
    "a modality table of 12 bits that states 16": (TABLES, lambda other: 4095 - other),
    "a VOI table of 12 bits that states 16": (TABLES, lambda other: 4095 - other),
    "signed JPEG 2000": (SIGN, lambda other: other + 2048),
    "signed JPEG 2000 under unsigned pixels": (
        "pydicom believes the header, and folds the picture", lambda other: (other + 2048) % 4096,
    ),
    "unsigned JPEG 2000 under signed pixels": (
        "pydicom believes the header, and folds the picture", lambda other: other % 4096,
    ),
    "no Basic Offset Table": (BOT, None),
    "RLE without Basic Offset Table": (BOT, None),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def codestreams(tmp_path_factory):
    """Compress the picture with gdcm."""
    path = tmp_path_factory.mktemp("codestreams") / "a.dcm"
    gdcm.Trace.WarningOff()
    STREAMS.update(
        {
            "JPEG_8": by_gdcm(EIGHT, path, f"{JPEG}70", 8, 8),
            "JPEG_12": by_gdcm(WORDS, path, f"{JPEG}70", 12),
            "JPEG_LS_12": by_gdcm(WORDS, path, JPEGLSLossless, 12),
            "JPEG_LS_16": by_gdcm(FULL, path, JPEGLSLossless, 16),
            "RLE": by_gdcm(WORDS, path, RLELossless, 12),
        }
    )


@pytest.mark.parametrize("name", READ)
def test_gray_levels(tmp_path, name):
    make, expected, bits, codes = READ[name]
    path = save(make(), tmp_path / "a.dcm")
    image = read_image(path, "a.dcm", voi="VOI" in name)
    assert image.facts.bits_stored == bits
    assert [warning.code for warning in image.facts.warnings] == codes
    assert np.array_equal(image.pixels, expected)
    assert_explained(name, image.pixels, second_opinion(path))


def second_opinion(path):
    """Return what pydicom reads, `(h, w) int`; None if it does not read the file."""
    try:
        return pydicom.dcmread(path).pixel_array.astype(np.int64)
    except ValueError:
        return None


def assert_explained(name, ours, theirs):
    if name not in DIFFERENCES:
        assert np.array_equal(ours, theirs)
        return
    _, follow = DIFFERENCES[name]
    assert theirs is None or not np.array_equal(ours, theirs)
    assert follow is None or np.array_equal(ours, follow(theirs))


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_believed_is_refused_by_cause(tmp_path, name):
    make, reason = REFUSED[name]
    path = save(make(), tmp_path / "a.dcm")
    with pytest.raises(DicomError, match=reason):
        read_image(path, "a.dcm")
