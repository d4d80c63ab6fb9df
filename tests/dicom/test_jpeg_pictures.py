"""JPEG pictures: refused, unless the data set of the source is published so."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from mammo_core.dicom import read_facts, read_image
from mammo_core.errors import DicomError

HEIGHT, WIDTH = 96, 80
Y, X = np.mgrid[0:HEIGHT, 0:WIDTH]
#: Smooth, so that little is lost; the loss is measured against it.
PICTURE = (120 + 60 * np.sin(Y / 9) + 60 * np.cos(X / 11)).round().astype(np.uint8)
#: Levels that JPEG of quality 95 changes at most (measured: 2).
LOSS = 3
#: What a viewer does with the stored rows and columns (Exif 2.3, tag 274).
TURNED = {
    1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
    5: np.transpose, 6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).T, 8: np.rot90,
}  # fmt: skip


def jpeg(picture=PICTURE, mode="L", **options):
    file = io.BytesIO()
    Image.fromarray(picture).convert(mode).save(file, "JPEG", **{"quality": 95, **options})
    return file.getvalue()


def segment(marker, content):
    return b"\xff" + bytes([marker]) + (len(content) + 2).to_bytes(2, "big") + content


def with_segment(marker, content, data=None):
    data = data or jpeg()
    return data[:2] + segment(marker, content) + data[2:]


def frame(marker, bits=8, components=1):
    """A JPEG file that ends with its frame header."""
    sizes = bytes([bits]) + HEIGHT.to_bytes(2, "big") + WIDTH.to_bytes(2, "big")
    parts = b"".join(bytes([number, 0x11, 0]) for number in range(components))
    return b"\xff\xd8" + segment(marker, sizes + bytes([components]) + parts)


def in_scan(data, share):
    """A position in the coded data."""
    start = data.index(b"\xff\xda")
    return start + int(share * (len(data) - start))


def read(tmp_path, content, **options):
    path = tmp_path / "a.png"  # the name does not matter
    path.write_bytes(content)
    return read_image(path, "a", **{"lossy_jpeg": True, "mammogram": True, **options})


def loss(pixels, picture=PICTURE):
    return np.abs(pixels.astype(int) - picture).max()


@pytest.mark.parametrize(
    "content",
    [
        jpeg(),
        jpeg(progressive=True),
        jpeg(optimize=True, restart_marker_rows=1),
        jpeg(mode="RGB"),
        jpeg(mode="RGB", subsampling=0, progressive=True),
        jpeg(mode="RGB", keep_rgb=True),
        cv2.imencode(".jpg", PICTURE, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes(),
        with_segment(0xFE, b"\xff\xd9 a comment that looks like the end"),
        b"\xff\xd8\xff" + jpeg()[2:],  # a fill byte
        jpeg() + bytes(16),  # padding
    ],
    ids=["gray", "progressive", "restart markers", "equal channels", "whole chroma", "RGB",
         "OpenCV", "comment", "fill byte", "padding"],
)  # fmt: skip
def test_a_gray_picture_is_read_on_request(tmp_path, content):
    image = read(tmp_path, content)
    assert image.pixels.dtype == np.uint16
    assert loss(image.pixels) <= LOSS
    assert image.facts.transfer_syntax == "JPEG"
    assert image.facts.photometric in ("MONOCHROME2", "RGB")
    assert (image.facts.bits_stored, image.facts.rows, image.facts.columns) == (8, HEIGHT, WIDTH)
    assert "lossy" in [warning.code for warning in image.facts.warnings]
    facts = read_facts(tmp_path / "a.png", lossy_jpeg=True)
    assert [warning.code for warning in facts.warnings] == ["lossy"]
    with pytest.raises(DicomError, match=r"JPEG picture.*Use the original.*lossy_jpeg"):
        read(tmp_path, content, lossy_jpeg=False)
    with pytest.raises(DicomError, match=r"JPEG picture.*Draw the mask again"):
        read(tmp_path, content, mask=True)


def test_equal_channels_give_the_levels_of_the_gray_picture(tmp_path):
    gray = read(tmp_path, jpeg()).pixels
    # Pillow uses other quantization tables for chroma only, which is zero here.
    assert np.array_equal(read(tmp_path, jpeg(mode="RGB")).pixels, gray)


def test_pillow_decodes_the_same_levels(tmp_path):
    for content in (jpeg(), jpeg(progressive=True, quality=40)):
        second = np.asarray(Image.open(io.BytesIO(content)))
        assert np.array_equal(read(tmp_path, content).pixels, second)


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("order", ["little", "big"])
def test_exif_orientation_is_applied(tmp_path, orientation, order):
    entry = b"".join(number.to_bytes(2, order) for number in (1, 274, 3))
    entry += (1).to_bytes(4, order) + orientation.to_bytes(2, order) + bytes(6)
    start = {"little": b"II*\0", "big": b"MM\0*"}[order] + (8).to_bytes(4, order)
    content = with_segment(0xE1, b"Exif\0\0" + start + entry)
    image = read(tmp_path, content)
    assert loss(image.pixels, TURNED[orientation](PICTURE)) <= LOSS
    assert (image.facts.rows, image.facts.columns) == image.pixels.shape
    facts = read_facts(tmp_path / "a.png", lossy_jpeg=True)
    assert (facts.rows, facts.columns) == image.pixels.shape


def test_channels_of_a_gray_picture_may_differ_a_little(tmp_path):
    tinted = np.stack([PICTURE, PICTURE, np.where(PICTURE > 4, PICTURE - 4, 0)], axis=-1)
    content = cv2.imencode(".jpg", tinted, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    assert loss(read(tmp_path, content).pixels) <= LOSS + 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (jpeg(np.stack([PICTURE, PICTURE, 255 - PICTURE], axis=-1), "RGB"), "not a gray.*color"),
        (jpeg(mode="CMYK"), "not a gray image.*CMYK"),
        (frame(0xC0, components=2), "not a gray image"),
        (frame(0xC1, bits=12), "not a gray image.*12 bits"),
        (frame(0xC3), "unsupported compression.*lossless JPEG"),
        (frame(0xF7), "unsupported compression.*JPEG-LS"),
        (frame(0xC9), "unsupported compression.*another process"),
        (frame(0xC0)[:-9], "damaged"),
        (b"\xff\xd8\xff\xd9" + bytes(200), "damaged"),
        (b"\xff\xd8\xff\xe0" + bytes(200), "damaged"),
        (jpeg().replace(HEIGHT.to_bytes(2, "big"), b"\0\0", 1), "too many pixels, or none"),
        (jpeg(PICTURE[:40]), "too small"),
        (jpeg()[:-2], "cannot be decoded"),
        (jpeg()[: in_scan(jpeg(), 0.5)], "cannot be decoded"),
        (jpeg()[: in_scan(jpeg(), 0.5)] + b"\xff\xd9", "cannot be decoded"),
        (jpeg(progressive=True)[: in_scan(jpeg(progressive=True), 0.5)], "cannot be decoded"),
        (jpeg() * 2, "bytes after its end, which begin another"),
        (jpeg() + b"more", "bytes after its end"),
        (jpeg() + cv2.imencode(".png", PICTURE)[1].tobytes(), "bytes after its end"),
    ],
)  # fmt: skip
def test_others_are_refused_by_cause(tmp_path, content, message):
    with pytest.raises(DicomError, match=message):
        read(tmp_path, content)


def test_no_mutated_picture_does_more_than_to_be_refused(tmp_path):
    originals = [jpeg(), jpeg(mode="RGB", progressive=True), with_segment(0xE1, b"Exif\0\0II*\0")]
    outcomes = {"read": 0, "refused": 0}
    for number in range(150):
        draw = np.random.default_rng([7, number])
        data = bytearray(originals[number % 3])
        for position in draw.integers(2, len(data), draw.integers(1, 6)):
            data[position] = draw.integers(0, 256)
        if number % 5 == 0:
            del data[draw.integers(2, len(data)) :]
        try:
            image = read(tmp_path, bytes(data))
            assert image.pixels.shape == (image.facts.rows, image.facts.columns)
            outcomes["read"] += 1
        except DicomError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 5, outcomes
