"""Where PNG, TIFF, Netpbm and JPEG files end: what follows would be ignored without a word."""

import re
from typing import BinaryIO, Final, Literal

import numpy as np

from mammo_core.dicom.headers.header import MAXIMUM_BYTES
from mammo_core.dicom.rasters.raster_header import PNG, TIFF, raster_format
from mammo_core.errors import DicomError

#: Bytes of a value by its type (TIFF 6.0, and 16 to 18 of BigTIFF).
_SIZES: Final = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
    16: 8, 17: 8, 18: 8,
}  # fmt: skip
#: Offsets of strips and tiles, and the tags with their sizes.
_DATA: Final = {273: 279, 324: 325}
#: Tags that point to directories whose content is not followed: SubIFDs, Exif, GPS.
_POINTERS: Final = (330, 34665, 34853)
_MAXIMUM_VALUES: Final = 2**20
_MAXIMUM_TAGS: Final = 1000
_PNM_NUMBER: Final = re.compile(rb"(?:\s|#[^\n]*\n)+(\d{1,9})")
#: A marker after coded data: no stuffed byte, fill byte or restart marker (ISO 10918-1 B.1.1).
_JPEG_MARKER: Final = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
#: Possessive: the matcher would keep a hundred bytes for each sample to come back to.
_PLAIN_PNM: Final = re.compile(rb"P[123](?:[\s\d]++|#[^\n]*+(?:\n|\Z))*+")
_MAXIMUM_COMMENTS: Final = 10_000
#: Starts of other files that are looked for where the end of a TIFF file is not known.
_STARTS: Final = (PNG, b"DICM\x02\x00", *TIFF)


def require_nothing_after(file: BinaryIO, name: str) -> None:
    """Refuse a picture that anything follows; zeros after a TIFF or JPEG file are padding.

    Args:
        file: The open PNG, TIFF, Netpbm or JPEG file; its header has been read.
        name: The file, for messages.

    Raises:
        DicomError: Bytes follow its end.
        OSError: The disk failed.
    """
    file.seek(0)
    content = file.read(MAXIMUM_BYTES)  # of a larger file no pixels are read
    file_format = raster_format(content[:132])
    if file_format == "PNG":
        tail = content[_png_end(content) :]
    elif file_format == "PNM":
        tail = content[_pnm_end(content, name) :]
    elif file_format == "JPEG":
        tail = content[_jpeg_end(content) :].lstrip(b"\0")
    else:
        end, known = _tiff_end(content)
        tail = content[end:]
        if not known and not any(start in tail for start in _STARTS):
            return
        tail = tail.lstrip(b"\0")  # padding
    if tail:
        raise DicomError(
            f"{name} has bytes after its end"
            + (", which begin another image file" if raster_format(tail.lstrip(b"\0")) else ""),
            expected="one image in a file, and nothing after it",
            received=f"{len(tail)} bytes more",
            hint="Split it: each image is a file of its own",
        )


def _png_end(content: bytes) -> int:
    at = len(PNG)
    while at + 8 <= len(content):
        length, chunk = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        at += 12 + length  # length, type and checksum have four bytes each
        if chunk == b"IEND":
            break
    return at


def _jpeg_end(content: bytes) -> int:
    at = 2
    while (marker := _JPEG_MARKER.search(content, at)) is not None:
        at = marker.end()
        if marker[1] == b"\xd9":  # the end of the image
            return at
        if marker[1] not in (b"\x01", b"\xd8"):  # a segment, whose content may look like markers
            at += int.from_bytes(content[at : at + 2], "big")
    return len(content)


def _pnm_end(content: bytes, name: str) -> int:
    if content[1:2] in b"123":
        return _plain_pnm_end(content, name)
    at, numbers = 2, []
    for _ in range(2 if content[1:2] == b"4" else 3):
        number = _PNM_NUMBER.match(content, at)
        if number is None:
            return len(content)
        numbers.append(int(number[1]))
        at = number.end()
    columns, rows = numbers[:2]
    if content[1:2] == b"4":
        size = rows * (-(-columns // 8))
    else:
        channels = 3 if content[1:2] == b"6" else 1
        size = rows * columns * channels * (2 if numbers[2] > 255 else 1)
    return at + 1 + size  # one white space ends the header


def _plain_pnm_end(content: bytes, name: str) -> int:
    """Return the end of the numbers; what stands among the samples is left to the decoder."""
    if content.count(b"#") > _MAXIMUM_COMMENTS:
        raise DicomError(
            f"{name} is a damaged image file",
            expected=f"a Netpbm file with at most {_MAXIMUM_COMMENTS} comments",
            received="more",
        )
    match = _PLAIN_PNM.match(content)
    if match is None or match.end() == len(content):
        return len(content)
    numbers = re.sub(rb"#[^\n]*", b" ", match[0])
    header = numbers.split(None, 4)[:4]
    bitmap = header[0] == b"P1"
    if len(header) < 4:
        return len(content)
    samples = int(header[1]) * int(header[2]) * (3 if header[0] == b"P3" else 1)
    is_digit = np.frombuffer(numbers, np.uint8) > ord(" ")
    if bitmap:  # its digits need no blanks between them
        numbered = np.count_nonzero(is_digit) - sum(map(len, header[:3]))
    else:
        numbered = np.count_nonzero(is_digit[1:] & ~is_digit[:-1]) + 1 - 4
    return match.end() if numbered >= samples else len(content)


def _tiff_end(content: bytes) -> tuple[int, bool]:
    """Return the end of all that the first directory refers to, and whether it refers to all."""
    order: Literal["little", "big"] = "little" if content[:2] == b"II" else "big"
    big = b"+" in content[:4]
    offset_size, number_size = (8, 8) if big else (4, 2)

    def number(at: int, size: int) -> int:
        return int.from_bytes(content[at : at + size], order)

    directory = number(8 if big else 4, offset_size)
    count = min(number(directory, number_size), _MAXIMUM_TAGS)
    entry_size = 4 + 2 * offset_size
    end = directory + number_size + count * entry_size + offset_size
    values: dict[int, list[int]] = {}
    known = True
    for index in range(count):
        at = directory + number_size + index * entry_size
        tag, value_type, amount = number(at, 2), number(at + 2, 2), number(at + 4, offset_size)
        size = _SIZES.get(value_type)
        known &= size is not None and tag not in _POINTERS
        if size is None:
            continue
        start = at + 4 + offset_size
        if amount * size > offset_size:
            start = number(start, offset_size)
            end = max(end, start + amount * size)
        if tag in {*_DATA, *_DATA.values()} and amount <= _MAXIMUM_VALUES:
            values[tag] = [number(start + size * item, size) for item in range(amount)]
    for offsets, sizes in _DATA.items():
        pairs = zip(values.get(offsets, []), values.get(sizes, []), strict=False)
        end = max([end, *(offset + length for offset, length in pairs)])
        known &= len(values.get(offsets, [])) == len(values.get(sizes, []))
    return end, known
