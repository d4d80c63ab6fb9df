"""The words of the pixel frame of a DICOM file, decoded if they are compressed."""

import sys
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Literal

import numpy as np

from mammo_core.dicom.codecs.codestream import read_codestream
from mammo_core.dicom.codecs.decoders import DECODERS
from mammo_core.dicom.codecs.fragments import (
    no_pixels_error,
    read_fragments,
    several_frames_error,
    truncated_error,
)
from mammo_core.dicom.codecs.native import CODECS
from mammo_core.dicom.headers.fields import Header
from mammo_core.dicom.headers.inflate import open_inflated
from mammo_core.errors import DicomError

_IMPLICIT: Final = "1.2.840.10008.1.2"
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
#: Deflated data sets are explicit little endian after inflation.
_RAW: Final = (_IMPLICIT, "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", _BIG_ENDIAN)
_UNDEFINED: Final = 0xFFFFFFFF

Words = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class PixelFrame:
    """The words of a pixel frame, as stored.

    Args:
        words: `(h, w)` words of 8 or 16 bits in native byte order; the caller may overwrite them.
        precision: Bits per sample that the codestream states; None if there is none.
        signed: Whether the codestream has signed samples; None if it does not state it.
    """

    words: Words
    precision: int | None = None
    signed: bool | None = None


def read_frame(file: BinaryIO, header: Header, name: str) -> PixelFrame:
    """Read the pixel frame.

    Args:
        file: The open file.
        header: Its accepted header.
        name: The file, for messages.

    Raises:
        DicomError: The pixels are missing, truncated, too many, or undecodable.
        OSError: The disk failed, or a decoding process was killed.
    """
    rows, columns = int(header.data.Rows), int(header.data.Columns)
    syntax = header.syntax
    if syntax not in _RAW and syntax not in CODECS:
        raise DicomError(
            f"{name} has an unsupported transfer syntax",
            expected="uncompressed, deflated, RLE, JPEG, JPEG-LS, JPEG 2000 or HTJ2K",
            received=_syntax_name(header),
        )
    if header.deflated_offset is None:
        file.seek(header.pixel_offset)
    else:
        file = open_inflated(file, header.deflated_offset, name)
        file.read(header.pixel_offset)
    length, vr = _pixel_element(file, syntax)
    if length == 0:
        raise no_pixels_error(name)
    if (length == _UNDEFINED) == (syntax in _RAW):
        raise DicomError(
            f"{name} has pixels that do not match its transfer syntax",
            expected="one value" if syntax in _RAW else "fragments",
            received="fragments" if syntax in _RAW else "one value",
        )
    if syntax in _RAW:
        return PixelFrame(_read_raw(file, length, vr, header, name))
    stream = read_codestream(read_fragments(file, name), syntax, rows, columns, name)
    request = {
        "syntax": syntax,
        "rows": rows,
        "columns": columns,
        "bits_allocated": int(header.data.BitsAllocated),
        "precision": stream.precision or int(header.data.BitsStored),
    }
    words = _as_words(DECODERS.decode(request, stream.data, name), rows, columns, name)
    return PixelFrame(words, stream.precision, stream.signed)


def _as_words(words: Words, rows: int, columns: int, name: str) -> Words:
    """Return the result of a codec in the shape of the image."""
    if words.dtype.kind not in "ui" or words.dtype.itemsize > 2:
        raise DicomError(
            f"{name} has pixels of an unsupported type",
            expected="8 or 16-bit integers",
            received=str(words.dtype),
        )
    if words.size != rows * columns:
        raise DicomError(
            f"{name} contains an image of another size than its header states",
            expected=f"{rows}x{columns}",
            received="x".join(map(str, words.shape)) + " words",
        )
    return words.reshape(rows, columns)


def _pixel_element(file: BinaryIO, syntax: str) -> tuple[int, bytes]:
    """Read the start of the pixel element: its length and VR; 0 if it is another element."""
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


def _read_raw(file: BinaryIO, length: int, vr: bytes, header: Header, name: str) -> Words:
    shape, dtype = _layout(header)
    # 8-bit pixels in 16-bit words (OW) of a big-endian file are swapped in pairs (PS3.5 D).
    swapped = header.syntax == _BIG_ENDIAN and dtype == "u1" and vr == b"OW"
    size = shape[0] * shape[1] + (shape[0] * shape[1] % 2 if swapped else 0)
    words = np.empty(size, dtype)
    buffer = words.view(np.uint8).data
    if length < len(buffer):
        raise truncated_error(name, len(buffer), length)
    # A value of odd length has one byte of padding (PS3.5 7.1.1).
    if length > len(buffer) + len(buffer) % 2:
        raise _too_many_bytes_error(name, len(buffer), length)
    filled = 0
    # Read into the array by the file object: a failing disk is an error, not a short frame.
    while filled < len(buffer):
        read = file.readinto(buffer[filled:])  # type: ignore[attr-defined]
        if not read:
            raise truncated_error(name, len(buffer), filled)
        filled += read
    if swapped:
        words = words.reshape(-1, 2)[:, ::-1].reshape(-1)
    return _native_order(words[: shape[0] * shape[1]].reshape(shape))


def _native_order(words: Words) -> Words:
    if words.dtype.byteorder == ">" and sys.byteorder == "little":
        return words.byteswap(inplace=True).view(words.dtype.newbyteorder("="))
    return words


def _too_many_bytes_error(name: str, expected: int, received: int) -> DicomError:
    if received % expected == 0:
        return several_frames_error(name, str(received // expected))
    return DicomError(
        f"{name} has more pixels than its header states",
        expected=f"{expected} bytes, as Rows x Columns x Bits Allocated require",
        received=str(received),
        hint="Its header is wrong: export the image again",
    )


def _syntax_name(header: Header) -> str:
    syntax = header.data.file_meta.TransferSyntaxUID
    return f"{syntax.name} ({syntax})" if syntax.name != syntax else str(syntax)
