"""Headers of PNG, TIFF, Netpbm and JPEG files: size, depth, kind of samples, orientation."""

import re
from dataclasses import dataclass
from typing import BinaryIO, Final, Literal

from mammo_core.errors import DicomError

PNG: Final = b"\x89PNG\r\n\x1a\n"
#: The last two are BigTIFF.
TIFF: Final = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
JPEG: Final = b"\xff\xd8\xff"
_NETPBM: Final = re.compile(rb"P[1-6][\s#]")
#: Magic, columns, rows, and the maximum value, with comments between them.
_NETPBM_HEADER: Final = re.compile(rb"P([1-6])" + 3 * rb"(?:(?:\s|#[^\n]*\n)+(\d{1,9}))?")
#: Far more than any gray picture has.
_MAXIMUM_TAGS: Final = 1000
_MAXIMUM_CHUNKS: Final = 1000
_MAXIMUM_OFFSET: Final = 2**40
_NETPBM_BYTES: Final = 65_536
#: Compressions of TIFF without a loss: none, CCITT, LZW, deflate, PackBits.
_LOSSLESS: Final = (1, 2, 3, 4, 5, 8, 32773, 32946)
#: Sample formats of TIFF (tag 339) other than unsigned.
_SIGNED_OR_FLOAT: Final = "signed or floating-point"
#: Markers of JPEG frames (ISO 10918-1 table B.1): all but DHT, JPG and DAC; F7 is JPEG-LS.
_JPEG_FRAMES: Final = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
#: Baseline, extended sequential and progressive, each with Huffman coding: what is decoded.
_JPEG_DECODED: Final = (0xC0, 0xC1, 0xC2)
#: Markers without a segment: TEM, restart markers, start of image.
_JPEG_BARE: Final = {0x01, *range(0xD0, 0xD9)}
_JPEG_COLORS: Final = {1: "gray", 3: "RGB", 4: "CMYK"}
_PNG_COLORS: Final = {0: "gray", 2: "RGB", 3: "palette", 4: "gray with alpha", 6: "RGB with alpha"}


class SeveralPagesError(Exception):
    """A file has more than one picture."""


@dataclass(frozen=True)
class RasterHeader:
    """What the header of a picture states.

    Args:
        rows: Rows as stored.
        columns: Columns as stored.
        bits: Bits of a sample.
        kind: gray, RGB, palette, or another one, in words.
        white_is_zero: Whether 0 is white.
        orientation: Orientation 1 to 8 (TIFF 6.0, tag 274); 5 to 8 exchange rows and columns.
    """

    rows: int
    columns: int
    bits: int
    kind: str
    white_is_zero: bool = False
    orientation: int = 1


def raster_format(start: bytes) -> str | None:
    """Return PNG, TIFF, PNM or JPEG by the first bytes of a file; None for other files.

    Args:
        start: The first 132 bytes or more, or the whole file.
    """
    if start[128:132] == b"DICM":
        return None  # a DICOM file may have a TIFF header in its preamble (PS3.10 7.1)
    if start.startswith(PNG):
        return "PNG"
    if start.startswith(JPEG):
        return "JPEG"
    if _NETPBM.match(start):
        return "PNM"
    return "TIFF" if start[:4] in TIFF else None


def read_raster_header(file: BinaryIO, file_format: str, name: str) -> RasterHeader:
    """Read the header of a picture.

    Args:
        file: The file, open.
        file_format: PNG, TIFF, PNM or JPEG.
        name: The file, for messages.

    Raises:
        DicomError: The file is compressed in a way that is not read.
        SeveralPagesError: It has more than one picture.
        IndexError, ValueError, KeyError: It is damaged.
    """
    file.seek(0)
    if file_format == "PNG":
        return _png(file)
    if file_format == "JPEG":
        return _jpeg(file, name)
    return _pnm(file) if file_format == "PNM" else _tiff(file, name)


def _png(file: BinaryIO) -> RasterHeader:
    # IHDR is the first chunk (PNG 11.2.1): columns, rows, depth, color type.
    start = file.read(33)
    columns, rows = (int.from_bytes(start[at : at + 4], "big") for at in (16, 20))
    bits, kind = start[24], _PNG_COLORS[start[25]]
    orientation = 1
    for _ in range(_MAXIMUM_CHUNKS):
        length, chunk = int.from_bytes(file.read(4), "big"), file.read(4)
        if chunk in (b"IDAT", b"IEND", b""):
            break
        if chunk == b"acTL":  # an animation
            raise SeveralPagesError
        end = file.tell() + length + 4
        if chunk == b"eXIf" and length < _NETPBM_BYTES:
            orientation = _exif_orientation(file.read(length))
        file.seek(end)
    return RasterHeader(rows, columns, bits, kind, orientation=orientation)


def _jpeg(file: BinaryIO, name: str) -> RasterHeader:
    file.seek(2)
    orientation = 1
    for _ in range(_MAXIMUM_CHUNKS):
        if file.read(1) != b"\xff":
            raise ValueError("marker")
        marker = file.read(1)[0]
        while marker == 0xFF:  # fill bytes
            marker = file.read(1)[0]
        if marker in _JPEG_BARE:
            continue
        length = int.from_bytes(file.read(2), "big")
        end = file.tell() + length - 2
        if marker in _JPEG_FRAMES:
            if marker not in _JPEG_DECODED:
                raise _compression_error(name, _jpeg_process(marker))
            frame = file.read(6)
            rows, columns = (int.from_bytes(frame[at : at + 2], "big") for at in (1, 3))
            kind = _JPEG_COLORS.get(frame[5], "color or alpha")
            return RasterHeader(rows, columns, frame[0], kind, orientation=orientation)
        if marker in (0xD9, 0xDA):  # the end, or coded data, without a frame header
            break
        if marker == 0xE1 and (content := file.read(length - 2)).startswith(b"Exif\0\0"):
            orientation = _exif_orientation(content[6:])
        file.seek(end)
    raise ValueError("frame header")


def _jpeg_process(marker: int) -> str:
    if marker == 0xF7:
        return "JPEG-LS"
    return "lossless JPEG" if marker in (0xC3, 0xC7, 0xCB, 0xCF) else "another process of JPEG"


def _exif_orientation(content: bytes) -> int:
    """Return the orientation of an Exif block, which is the start of a TIFF file."""
    order: Literal["little", "big"] = "little" if content[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(content[at : at + size], order)

    directory = number(4, 4)
    for entry in range(min(number(directory, 2), _MAXIMUM_TAGS)):
        at = directory + 2 + 12 * entry
        if number(at, 2) == 274:
            return _valid_orientation(number(at + 8, 2))
    return 1


def _valid_orientation(value: int) -> int:
    return value if 1 <= value <= 8 else 1  # other values have no meaning; libtiff ignores them


def _pnm(file: BinaryIO) -> RasterHeader:
    header = _NETPBM_HEADER.match(file.read(_NETPBM_BYTES))
    if header is None:
        raise ValueError("Netpbm")
    kind, columns, rows = (int(number or 0) for number in header.groups()[:3])
    if kind in (1, 4):
        return RasterHeader(rows, columns, 1, "gray")
    maximum = int(header[4] or 0)
    if not 0 < maximum < 65536:
        raise ValueError("maximum value")
    return RasterHeader(rows, columns, maximum.bit_length(), "RGB" if kind in (3, 6) else "gray")


def _tiff(file: BinaryIO, name: str) -> RasterHeader:
    magic = file.read(4)
    order: Literal["little", "big"] = "little" if magic[:2] == b"II" else "big"
    big = b"+" in magic
    # TIFF 6.0 and BigTIFF: sizes of an offset, of the number of tags, and of a tag's count.
    offset_size, number_size = (8, 8) if big else (4, 2)

    def number(size: int) -> int:
        return int.from_bytes(file.read(size), order)

    def follow(offset: int) -> None:
        if offset > _MAXIMUM_OFFSET:
            raise ValueError("offset")
        file.seek(offset)

    file.seek(8 if big else 4)
    follow(number(offset_size))
    tags: dict[int, int] = {}
    for _ in range(min(number(number_size), _MAXIMUM_TAGS)):
        tag, value_type, count = number(2), number(2), number(offset_size)
        value = file.read(offset_size)
        size = {3: 2, 4: 4, 16: 8}.get(
            value_type
        )  # SHORT, LONG and LONG8 are at the start of the value
        if size is not None and count * size <= offset_size:
            tags[tag] = int.from_bytes(value[:size], order)
        elif tag in (258, 339) and size == 2 and count < 9:  # one for each sample
            after = file.tell()
            follow(int.from_bytes(value, order))
            values = {number(2) for _ in range(count)}
            tags[tag] = values.pop() if len(values) == 1 else 0
            file.seek(after)
    if number(offset_size):
        raise SeveralPagesError
    compression = tags.get(259, 1)
    if compression not in _LOSSLESS:
        received = "JPEG in TIFF" if compression in (6, 7) else f"TIFF compression {compression}"
        raise _compression_error(name, received)
    kinds = {(0, 1): "gray", (1, 1): "gray", (2, 3): "RGB", (3, 1): "palette"}
    kind = kinds.get((tags.get(262, -1), tags.get(277, 1)), "color or alpha")
    if tags.get(339, 1) != 1:  # Sample Format: 1 is unsigned
        kind = _SIGNED_OR_FLOAT
    return RasterHeader(
        tags[257], tags[256], tags.get(258, 1), kind, tags.get(262) == 0,
        _valid_orientation(tags.get(274, 1)),
    )  # fmt: skip


def _compression_error(name: str, received: str) -> DicomError:
    return DicomError(
        f"{name} has an unsupported compression",
        expected="a TIFF file without compression, or with LZW, deflate, PackBits or CCITT; a JPEG "
        "file that is baseline or progressive",
        received=received,
        hint="Convert it from the original; a picture compressed with a loss is not one",
    )
