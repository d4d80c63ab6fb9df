"""TIFF files made by hand, PGM and PNM, PNG: each shows the drawn picture, or is refused."""

import io
import itertools
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from drawn_files import PICTURE, WORDS
from PIL import Image, ImageOps
from raster_files import lzw, packed, strips, tiff, tiles

from mammo_core.dicom import read_facts, read_image
from mammo_core.errors import DicomError

FULL = (WORDS * 16 + WORDS // 256).astype(np.uint16)
EIGHT = (PICTURE >> 4).astype(np.uint8)
HEIGHT, WIDTH = FULL.shape
COMPRESSIONS = {1: bytes, 5: lzw, 8: zlib.compress}
#: Tag 274: what a viewer does with the stored rows and columns.
TURNED = {
    1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
    5: np.transpose, 6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).T, 8: np.rot90,
}  # fmt: skip


def read(tmp_path, content, **options):
    path = tmp_path / "a.dcm"  # the name does not matter
    path.write_bytes(content)
    return read_image(path, "a", **options)


@pytest.mark.parametrize(
    ("bits", "compression"), [*itertools.product((8, 12, 16), COMPRESSIONS), (10, 1), (14, 1)]
)
def test_black_is_zero_in_every_depth_and_layout(tmp_path, bits, compression):
    picture = (FULL >> (16 - bits)).astype(np.uint16)
    for order, white, tile in itertools.product("<>", (False, True), (None, 16)):
        stored = (2**bits - 1) - picture if white else picture

        def pack(rows, order=order):
            whole = rows.astype(f"{order}u{bits // 8}").tobytes() if bits in (8, 16) else None
            return COMPRESSIONS[compression](whole or packed(rows, bits))

        cut = tiles(stored, 16, pack) if tile else strips(stored, 25, pack)
        content = tiff(
            WIDTH, HEIGHT, bits, cut, order=order, tile=tile, t278=25, t259=compression,
            t262=0 if white else 1,
        )  # fmt: skip
        image = read(tmp_path, content)
        assert np.array_equal(image.pixels, picture), (order, white, tile)
        assert image.facts.bits_stored == bits
        assert image.facts.photometric == ("MONOCHROME1" if white else "MONOCHROME2")


@pytest.mark.parametrize("compression", [8, 5])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_strip_that_ends_early_is_refused(tmp_path, bits, compression):
    data = packed(FULL >> (16 - bits), bits)
    strip = COMPRESSIONS[compression](data)
    read(tmp_path, tiff(WIDTH, HEIGHT, bits, [strip], t259=compression))
    for early in (strip[: len(strip) // 2], COMPRESSIONS[compression](data[: len(data) // 2])):
        with pytest.raises(DicomError, match="cannot be decoded"):
            read(tmp_path, tiff(WIDTH, HEIGHT, bits, [early], t259=compression))


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("write", ["raw", "LZW", "PNG"])
def test_orientation_is_applied(tmp_path, orientation, write):
    if write == "PNG":
        exif, file = Image.Exif(), io.BytesIO()
        exif[274] = orientation
        Image.fromarray(FULL).save(file, "PNG", exif=exif)
        content = file.getvalue()
    else:
        code = 1 if write == "raw" else 5
        strip = COMPRESSIONS[code](FULL.astype("<u2").tobytes())
        content = tiff(WIDTH, HEIGHT, 16, [strip], t259=code, t274=orientation)
    image = read(tmp_path, content)
    assert np.array_equal(image.pixels, TURNED[orientation](FULL))
    assert (image.facts.rows, image.facts.columns) == image.pixels.shape
    facts = read_facts(tmp_path / "a.dcm")
    assert (facts.rows, facts.columns) == image.pixels.shape


def test_pillow_agrees_about_orientation():
    for orientation, turn in TURNED.items():
        exif = Image.Exif()
        exif[274] = orientation
        file = io.BytesIO()
        Image.fromarray(EIGHT).save(file, "PNG", exif=exif)
        assert np.array_equal(ImageOps.exif_transpose(Image.open(file)), turn(EIGHT))


def pgm(picture, maximum, comment=b""):
    dtype = np.uint8 if maximum < 256 else ">u2"
    header = b"P5\n%s%d %d\n%d\n" % (comment, picture.shape[1], picture.shape[0], maximum)
    return header + picture.astype(dtype).tobytes()


def plain(picture, maximum):
    text = "\n".join(" ".join(map(str, row)) for row in picture)
    return f"P2\n# a comment\n{picture.shape[1]} {picture.shape[0]}\n{maximum}\n{text}\n".encode()


@pytest.mark.parametrize("write", [pgm, plain])
@pytest.mark.parametrize("maximum", [255, 1000, 4095, 65535])
def test_pgm_is_read(tmp_path, write, maximum):
    picture = (FULL.astype(np.uint32) * maximum // 65535).astype(np.uint16)
    image = read(tmp_path, write(picture, maximum))
    bits = maximum.bit_length()
    assert image.facts.transfer_syntax == "PNM"
    assert image.facts.bits_stored == bits
    white = 2**bits - 1  # the maximum value is white
    assert np.abs(image.pixels - picture * (white / maximum)).max() < 0.501
    if white == maximum:
        assert np.array_equal(image.pixels, picture)


def test_pgm_of_other_writers(tmp_path):
    for picture in (EIGHT, FULL):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PPM")
        assert np.array_equal(read(tmp_path, file.getvalue()).pixels, picture)
        content = cv2.imencode(".pgm", picture)[1].tobytes()
        assert np.array_equal(read(tmp_path, content).pixels, picture)
    assert np.array_equal(read(tmp_path, pgm(EIGHT, 255, b"# MIAS\n# film\n")).pixels, EIGHT)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pgm(FULL, 65535)[:-1], "cannot be decoded"),
        (pgm(FULL, 65535) + b"\x01", "bytes after its end"),
        (pgm(EIGHT, 255) * 2, "bytes after its end"),
        (pgm(np.full_like(EIGHT, 201), 200), "cannot be decoded"),
        (plain(EIGHT, 255)[:-8], "cannot be decoded"),
        (plain(EIGHT, 255).replace(b"\n0 0", b"\n-1 0", 1), "cannot be decoded.*whole number"),
        (plain(EIGHT, 255).replace(b"\n0 0", b"\n.5 0", 1), "cannot be decoded.*whole number"),
        (plain(EIGHT, 255) * 2, "bytes after its end, which begin another"),
        (plain(EIGHT, 255) + b"end", "bytes after its end"),
        (pgm(EIGHT, 70000), "damaged"),
        (b"P5\n70", "damaged"),
        (b"P6\n70 70\n255\n" + bytes(70 * 70 * 3), "not a gray image"),
        (b"P4\n80 70\n" + bytes(70 * 10), "not a gray image"),
        (b"\xff\xd8\xff\xe0" + bytes(200), "JPEG picture"),
        (tiff(80, 70, 8, [b"\0"], t259=7), "unsupported compression.*JPEG"),
        (tiff(80, 70, 16, [bytes(11200)], t339=2), "signed"),
        (tiff(80, 70, 16, [bytes(11200)], t339=3), "floating-point"),
        (tiff(80, 70, 8, [bytes(5600)])[:-1], "cannot be decoded"),
    ],
)
def test_others_are_refused_by_cause(tmp_path, content, message):
    with pytest.raises(DicomError, match=message):
        read(tmp_path, content)


def test_several_pictures_are_refused(tmp_path):
    stack = io.BytesIO()
    tifffile.imwrite(stack, np.stack([FULL, FULL]), imagej=True)
    animation = io.BytesIO()
    second = [Image.fromarray(EIGHT[::-1])]
    Image.fromarray(EIGHT).save(animation, "PNG", save_all=True, append_images=second)
    for content in (stack, animation):
        with pytest.raises(DicomError, match="several pages"):
            read(tmp_path, content.getvalue())


def test_12_bits_in_files_of_16_are_reported(tmp_path):
    dark = (FULL >> 4).astype("<u2")
    png = cv2.imencode(".png", dark)[1].tobytes()
    for content in (png, pgm(dark, 65535), tiff(WIDTH, HEIGHT, 16, [dark.tobytes()])):
        codes = [warning.code for warning in read(tmp_path, content).facts.warnings]
        assert codes == ["unused_range"]
    assert read(tmp_path, pgm(dark, 4095)).facts.warnings == ()
