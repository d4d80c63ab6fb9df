"""Records: round trips and stable bytes."""

import hashlib

import numpy as np
import pytest

from mammo_core.datasets import ImageRecord, LesionMask, PatchRecord
from mammo_core.datasets.records import decode, encode
from mammo_core.errors import RecordError


def image_record():
    rows, columns = np.mgrid[:5, :7]
    pixels = (rows * 9973 + columns * 257).astype(np.uint16)
    masks = (LesionMask("lesion_1", rows > 2), LesionMask("lesion_2", columns == 6))
    return ImageRecord("a" * 64, pixels, masks, 500, 700)


def patch_record():
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    return PatchRecord("p-1", "a" * 64, "lesion_1", "lesion", pixels, 12, 34, 0.8125, 0.75)


def test_an_image_record_round_trips():
    record = image_record()
    copy = ImageRecord.from_bytes(record.to_bytes())
    assert (copy.image_id, copy.source_rows, copy.source_columns) == ("a" * 64, 500, 700)
    assert copy.pixels.dtype == np.uint16 and np.array_equal(copy.pixels, record.pixels)
    assert [lesion.lesion_id for lesion in copy.lesions] == ["lesion_1", "lesion_2"]
    for lesion, original in zip(copy.lesions, record.lesions, strict=True):
        assert lesion.mask.dtype == np.bool_ and np.array_equal(lesion.mask, original.mask)


def test_an_image_without_lesions_round_trips():
    record = ImageRecord("b" * 64, np.zeros((3, 3), np.uint16), (), 3, 3)
    assert ImageRecord.from_bytes(record.to_bytes()).lesions == ()


def test_a_patch_record_round_trips():
    record = patch_record()
    copy = PatchRecord.from_bytes(record.to_bytes())
    assert np.array_equal(copy.pixels, record.pixels)
    assert {**copy.__dict__, "pixels": 0} == {**record.__dict__, "pixels": 0}


def test_the_bytes_of_records_do_not_change():
    # Changed bytes need a higher CONVERT_REVISION or SAMPLE_REVISION (mammo_core/ingest).
    digests = [hashlib.sha256(r.to_bytes()).hexdigest() for r in (image_record(), patch_record())]
    assert digests == [
        "3096de9d0a33631b1b21b8e2559994e7c7b6d3d7723b94e0544a50537ad4ae8e",
        "f0c14aaaaae46bf19a39f5c745ecc1ba15edd794695c0a58fb9d236f4e6c89b5",
    ]


def test_pixels_of_any_layout_give_the_same_bytes():
    record = image_record()
    transposed = np.asfortranarray(record.pixels)
    big = record.pixels.astype(">u2").view(record.pixels.dtype.newbyteorder(">"))
    view = np.repeat(record.pixels, 2, axis=1)[:, ::2]
    for pixels in (transposed, view, big.astype(np.uint16)):
        same = ImageRecord(record.image_id, pixels, record.lesions, 500, 700)
        assert same.to_bytes() == record.to_bytes()


@pytest.mark.parametrize(
    "pixels", [np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.float32), np.zeros(4, np.uint16)]
)
def test_pixels_of_another_type_are_refused(pixels):
    with pytest.raises(RecordError, match="Pixels cannot be written"):
        ImageRecord("a", pixels, (), 2, 2).to_bytes()


@pytest.mark.parametrize("mask", [np.zeros((5, 6), bool), np.zeros((5, 7), np.uint8)])
def test_a_mask_that_does_not_fit_is_refused(mask):
    record = image_record()
    with pytest.raises(RecordError, match="mask of x cannot be written"):
        ImageRecord("a", record.pixels, (LesionMask("x", mask),), 5, 7).to_bytes()


@pytest.mark.parametrize("kind", [ImageRecord, PatchRecord])
@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xff\xff", encode({"image_id": "x"}), encode({"image_id": "x", "height": "tall"})],
)
def test_bytes_that_are_not_a_record_are_refused(kind, data):
    with pytest.raises(RecordError, match="cannot be read as"):
        kind.from_bytes(data)


def test_too_few_pixels_are_refused():
    fields = decode(image_record().to_bytes())
    fields["pixels"] = [fields["pixels"][0][:-2]]
    with pytest.raises(RecordError, match="as an image record"):
        ImageRecord.from_bytes(encode(fields))


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("é", ["é".encode()]),
        (b"\0", [b"\0"]),
        (np.int16(-3), [-3]),
        (np.uint16(65535), [65535]),
        (2**40, [2**40]),
        (np.float32(0.5), [0.5]),
        ([1, np.int64(2)], [1, 2]),
        ([1, 2.5], [1.0, 2.5]),
        ([], []),
        ([b"a", b"b"], [b"a", b"b"]),
    ],
)
def test_each_kind_of_value_round_trips(value, read):
    decoded = decode(encode({"x": value}))["x"]
    assert decoded == read and [type(item) for item in decoded] == [type(item) for item in read]
