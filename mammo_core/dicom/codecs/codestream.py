"""Validation of a compressed frame before a native codec decodes it."""

from dataclasses import dataclass
from typing import NamedTuple

from mammo_core.errors import DicomError

_RLE = "1.2.840.10008.1.2.5"
#: JPEG 2000 and High-Throughput JPEG 2000.
_JPEG_2000 = ("1.2.840.10008.1.2.4.9", "1.2.840.10008.1.2.4.20")
#: The signature box of a JP2 file (ISO 15444-1 I.5.1).
_JP2 = b"\x00\x00\x00\x0cjP  \r\n\x87\n"

#: The first bytes of JPEG and JPEG-LS, of JPEG 2000, and of JP2; and what may be before them.
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", _JP2)
_PADDINGS = (b"", b"\0")


class _Size(NamedTuple):
    """Rows, columns and components; bits; and whether samples are signed."""

    shape: tuple[int, int, int]
    bits: int
    signed: bool | None = None


@dataclass(frozen=True)
class Codestream:
    """A frame that a codec may decode.

    Args:
        data: The codestream, without the boxes of a JP2 file around it.
        precision: Bits per sample; None for RLE, which does not state them.
        signed: Whether samples are signed; None for codestreams that do not state it.
    """

    data: bytes
    precision: int | None = None
    signed: bool | None = None


def read_codestream(frame: bytes, syntax: str, rows: int, columns: int, name: str) -> Codestream:
    """Return the codestream of a frame, unless it is truncated or of another size.

    A codec allocates the memory that the frame claims, and may pad a truncated frame.

    Args:
        frame: The single frame, its fragments joined.
        syntax: Transfer syntax UID.
        rows: Rows in the header.
        columns: Columns in the header.
        name: The file, for messages.

    Raises:
        DicomError: The frame is truncated, claims another size, or has a palette.
    """
    if syntax == _RLE:
        _validate_rle(frame, name)
        return Codestream(frame)
    if syntax.startswith(_JPEG_2000):
        frame = _without_boxes(frame, name)
    # PS3.5 A.4: a frame of odd length is padded; all codecs here use the end marker FFD9.
    if b"\xff\xd9" not in frame[-16:] and not frame.rstrip(b"\x00").endswith(b"\xff\xd9"):
        raise DicomError(
            f"{name} has truncated pixels",
            expected="a frame with an end marker",
            received=f"{len(frame)} bytes without one",
        )
    size = _jpeg_2000_size(frame) if syntax.startswith(_JPEG_2000) else _jpeg_size(frame)
    if size is None or size.shape != (rows, columns, 1):
        raise DicomError(
            f"{name} contains an image of another size than its header states",
            expected=f"{rows}x{columns}, one component",
            received="no frame header"
            if size is None
            else f"{size.shape[0]}x{size.shape[1]}, {size.shape[2]} components",
        )
    if not 1 <= size.bits <= 16:
        raise DicomError(
            f"{name} has pixels of an unsupported type",
            expected="samples of 1 to 16 bits",
            received=f"{size.bits} bits",
        )
    return Codestream(frame, size.bits, size.signed)


def starts_frame(piece: bytes) -> bool:
    """Return whether a fragment starts with the first bytes of a frame of any codec."""
    return piece.startswith(_STARTS) or is_rle(piece)


def is_rle(piece: bytes) -> bool:
    """Return whether a fragment starts with an RLE header: its first segment is after 64 bytes."""
    return len(piece) >= 64 and 1 <= piece[0] <= 15 and piece[1:8] == b"\0\0\0\x40\0\0\0"


def contains_several_frames(frame: bytes) -> bool:
    """Return whether another frame follows an end marker, which no coded data contain."""
    return any(b"\xff\xd9" + padding + start in frame for start in _STARTS for padding in _PADDINGS)


def ends_frame(piece: bytes) -> bool:
    """Return whether a fragment ends with the end marker of the JPEG codecs, padding aside."""
    return piece.rstrip(b"\x00").endswith(b"\xff\xd9")


def _without_boxes(frame: bytes, name: str) -> bytes:
    """Return the codestream in the boxes of a JP2 file (ISO 15444-1 I.4), or the frame itself.

    PS3.5 A.4.4 forbids the boxes; some writers have them all the same.
    """
    if not frame.startswith(_JP2):
        return frame
    at = 0
    while at + 8 <= len(frame):
        length, kind = int.from_bytes(frame[at : at + 4], "big"), frame[at + 4 : at + 8]
        start = at + 8
        if length == 1:
            length, start = int.from_bytes(frame[at + 8 : at + 16], "big"), at + 16
        end = len(frame) if length == 0 else at + length
        if end < start:
            break
        if kind == b"jp2c":
            return frame[start:end]
        if kind == b"jp2h" and b"pclr" in frame[start:end]:
            raise DicomError(
                f"{name} is a palette image, not a gray image",
                expected="one gray component",
                received="a JP2 file with a palette",
            )
        at = end
    raise DicomError(
        f"{name} has truncated pixels",
        expected="a codestream in the boxes of its JP2 file",
        received="none",
    )


def _validate_rle(frame: bytes, name: str) -> None:
    """Reject an RLE header (PS3.5 G.5) that is truncated or points outside the frame."""
    numbers = [int.from_bytes(frame[at : at + 4], "little") for at in range(0, 64, 4)]
    count, offsets = numbers[0], numbers[1 : 1 + numbers[0]]
    if len(frame) < 64 or not 1 <= count <= 2 or max(offsets) >= len(frame):
        raise DicomError(
            f"{name} has truncated or broken pixels",
            expected="an RLE header of one or two segments within the frame",
            received=f"{len(frame)} bytes, {count if len(frame) >= 64 else 'no'} segments",
        )


def _jpeg_2000_size(frame: bytes) -> _Size | None:
    """Return the SIZ segment (ISO 15444-1 A.5.1)."""
    start = frame.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0 or len(frame) < start + 43:
        return None
    siz = frame[start + 8 :]
    right, bottom, left, top = (int.from_bytes(siz[at : at + 4], "big") for at in (0, 4, 8, 12))
    # Ssiz: the top bit is the sign, the others are the number of bits minus one.
    shape = (bottom - top, right - left, int.from_bytes(siz[32:34], "big"))
    return _Size(shape, (siz[34] & 127) + 1, bool(siz[34] & 128))


def _jpeg_size(frame: bytes) -> _Size | None:
    """Return the frame header (ISO 10918-1 B.2.2)."""
    if frame[:2] != b"\xff\xd8":
        return None
    offset = 2
    while offset + 10 <= len(frame) and frame[offset] == 0xFF:
        marker = frame[offset + 1]
        if marker == 0xFF:  # a fill byte
            offset += 1
            continue
        # SOF0 to SOF15 except DHT, JPG and DAC; F7 is SOF55 of JPEG-LS.
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            rows = int.from_bytes(frame[offset + 5 : offset + 7], "big")
            columns = int.from_bytes(frame[offset + 7 : offset + 9], "big")
            return _Size((rows, columns, frame[offset + 9]), frame[offset + 4])
        offset += 2 + int.from_bytes(frame[offset + 2 : offset + 4], "big")
    return None
