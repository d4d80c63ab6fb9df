"""The words of the one frame of a DICOM file, decoded where they are compressed."""

import io
import sys
from typing import Any, BinaryIO, Final, Literal

import numpy as np

from mammo_core.dicom.codestream import check_codestream
from mammo_core.dicom.decoders import DECODERS
from mammo_core.dicom.fields import Header
from mammo_core.dicom.header import MAXIMUM_BYTES
from mammo_core.dicom.inflated import inflated
from mammo_core.dicom.limits import MAXIMUM_FRAGMENTS
from mammo_core.dicom.native import CODECS
from mammo_core.errors import DicomError

_IMPLICIT: Final = "1.2.840.10008.1.2"
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
#: Explicit little endian, and deflated, which is that once inflated.
_RAW: Final = (_IMPLICIT, "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", _BIG_ENDIAN)
_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = b"\xfe\xff\x00\xe0"

Words = np.ndarray[Any, np.dtype[Any]]


def read_words(file: BinaryIO, header: Header, name: str) -> Words:
    """Read the words of a frame, as stored.

    Args:
        file: The file, open.
        header: Its header, accepted.
        name: The file, for messages.

    Returns:
        (h, w) words of 8 or 16 bits in native order, the caller's to write to.

    Raises:
        DicomError: No, truncated or undecodable pixels.
        OSError: The disk failed, or the machine ended a decoding process.
    """
    rows, columns = int(header.data.Rows), int(header.data.Columns)
    syntax = header.syntax
    if syntax not in _RAW and syntax not in CODECS:
        raise DicomError(
            f"{name} has a transfer syntax that is not decoded",
            expected="uncompressed, deflated, RLE, JPEG, JPEG-LS, JPEG 2000 or HTJ2K",
            received=_syntax_name(header),
        )
    if header.deflated is None:
        file.seek(header.place)
    else:
        file = inflated(file, header.deflated, name)
        file.read(header.place)
    length, kind = _pixel_element(file, syntax)
    if length == 0:
        raise _no_pixels(name)
    if (length == _UNDEFINED) == (syntax in _RAW):
        raise DicomError(
            f"{name} has pixels that are not as its transfer syntax says",
            expected="one value" if syntax in _RAW else "fragments",
            received="fragments" if syntax in _RAW else "one value",
        )
    if syntax in _RAW:
        return _raw_of_file(file, length, kind, header, name)
    frame = _fragments(file, name)
    precision = check_codestream(frame, syntax, rows, columns, name)
    request = {
        "syntax": syntax,
        "rows": rows,
        "columns": columns,
        "bits_allocated": int(header.data.BitsAllocated),
        "precision": precision or int(header.data.BitsStored),
    }
    return _checked(DECODERS.decode(request, frame, name), rows, columns, name)


def _checked(words: Words, rows: int, columns: int, name: str) -> Words:
    if words.dtype.kind not in "ui" or words.dtype.itemsize > 2:
        raise DicomError(
            f"{name} has pixels of another kind",
            expected="8 or 16-bit whole numbers",
            received=str(words.dtype),
        )
    if words.size != rows * columns:
        raise DicomError(
            f"{name} holds another picture than its header says",
            expected=f"{rows}x{columns}",
            received="x".join(map(str, words.shape)) + " words",
        )
    return words.reshape(rows, columns)


def _pixel_element(file: BinaryIO, syntax: str) -> tuple[int, bytes]:
    """Read the start of the element at the file's place: length and VR, if it is the pixels'."""
    order: Literal["big", "little"] = "big" if syntax == _BIG_ENDIAN else "little"
    start = file.read(8)
    if start[:4] != (b"\x7f\xe0\x00\x10" if order == "big" else b"\xe0\x7f\x10\x00"):
        return 0, b""
    if syntax == _IMPLICIT:
        return int.from_bytes(start[4:8], order), b"OW"
    # Explicit VR (PS3.5 7.1.2): the VR, two bytes reserved, four of length.
    length = int.from_bytes(file.read(4), order)
    return (length, start[4:6]) if start[4:6] in (b"OB", b"OW", b"UN") else (0, b"")


def _layout(header: Header) -> tuple[tuple[int, int], str]:
    shape = (int(header.data.Rows), int(header.data.Columns))
    order = ">" if header.syntax == _BIG_ENDIAN else "<"
    return shape, "u1" if int(header.data.BitsAllocated) == 8 else f"{order}u2"


def _raw_of_file(file: BinaryIO, length: int, kind: bytes, header: Header, name: str) -> Words:
    shape, dtype = _layout(header)
    # 8-bit pixels in 16-bit words (OW) of a big-endian file are swapped in pairs (PS3.5 D).
    swapped = header.syntax == _BIG_ENDIAN and dtype == "u1" and kind == b"OW"
    size = shape[0] * shape[1] + (shape[0] * shape[1] % 2 if swapped else 0)
    words = np.empty(size, dtype)
    space = words.view(np.uint8).data
    if length < len(space):
        raise _truncated(name, len(space), length)
    place = 0
    # Read in place, by the file object: a disk that fails is an error, not a short frame.
    while place < len(space):
        read = file.readinto(space[place:])  # type: ignore[attr-defined]
        if not read:
            raise _truncated(name, len(space), place)
        place += read
    if swapped:
        words = words.reshape(-1, 2)[:, ::-1].reshape(-1)
    return _native(words[: shape[0] * shape[1]].reshape(shape))


def _native(words: Words) -> Words:
    if words.dtype.byteorder == ">" and sys.byteorder == "little":
        return words.byteswap(inplace=True).view(words.dtype.newbyteorder("="))
    return words


def _fragments(file: BinaryIO, name: str) -> bytes:
    """Return the fragments of the one frame, joined (PS3.5 A.4), the offset table left out."""
    start = file.tell()
    size = file.seek(0, io.SEEK_END) - start
    if size > MAXIMUM_BYTES:
        raise DicomError(
            f"{name} has compressed pixels beyond any mammogram",
            expected=f"at most {MAXIMUM_BYTES} bytes",
            received=str(size),
        )
    file.seek(start)
    pieces: list[bytes] = []
    count = 0
    while (head := file.read(8))[:4] == _ITEM:
        length, count = int.from_bytes(head[4:], "little"), count + 1
        if count > MAXIMUM_FRAGMENTS:
            raise DicomError(
                f"{name} has compressed pixels beyond any mammogram",
                expected=f"one frame in at most {MAXIMUM_FRAGMENTS} fragments",
                received="more",
            )
        if length > size:
            raise _truncated(name, length, size, "bytes in a fragment")
        piece = file.read(length)
        if len(piece) < length:
            raise _truncated(name, length, len(piece), "bytes in a fragment")
        if count > 1:  # The first holds the offset table.
            pieces.append(piece)
    frame = b"".join(pieces)
    if not frame:
        raise _no_pixels(name)
    return frame


def _no_pixels(name: str) -> DicomError:
    return DicomError(f"{name} has no pixels", expected="Pixel Data (7FE0,0010)", received="none")


def _truncated(name: str, expected: int, received: int, unit: str = "bytes") -> DicomError:
    return DicomError(
        f"{name} has truncated pixels, too few of them",
        expected=f"{expected} {unit}",
        received=str(received),
    )


def _syntax_name(header: Header) -> str:
    syntax = header.data.file_meta.TransferSyntaxUID
    return f"{syntax.name} ({syntax})" if syntax.name != syntax else str(syntax)
