"""Validation of a compressed frame before a native codec decodes it."""

from mammo_core.errors import DicomError

_RLE = "1.2.840.10008.1.2.5"
#: JPEG 2000 and High-Throughput JPEG 2000.
_JPEG_2000 = ("1.2.840.10008.1.2.4.9", "1.2.840.10008.1.2.4.20")


def validate_codestream(
    frame: bytes, syntax: str, rows: int, columns: int, name: str
) -> int | None:
    """Reject a frame that is truncated, or whose size differs from the header.

    A codec allocates the memory that the frame claims, and may pad a truncated frame.

    Args:
        frame: The codestream of the single frame, its fragments joined.
        syntax: Transfer syntax UID.
        rows: Rows in the header.
        columns: Columns in the header.
        name: The file, for messages.

    Returns:
        Bits per sample in the codestream; None for RLE, which does not state them.

    Raises:
        DicomError: The frame is truncated or claims another size.
    """
    if syntax == _RLE:
        _validate_rle(frame, name)
        return None
    # PS3.5 A.4: a frame of odd length is padded; all codecs here use the end marker FFD9.
    if b"\xff\xd9" not in frame[-16:] and not frame.rstrip(b"\x00").endswith(b"\xff\xd9"):
        raise DicomError(
            f"{name} has truncated pixels",
            expected="a frame with an end marker",
            received=f"{len(frame)} bytes without one",
        )
    size = _jpeg_2000_size(frame) if syntax.startswith(_JPEG_2000) else _jpeg_size(frame)
    if size is None or size[:3] != (rows, columns, 1):
        raise DicomError(
            f"{name} contains an image of another size than its header states",
            expected=f"{rows}x{columns}, one component",
            received="no frame header"
            if size is None
            else f"{size[0]}x{size[1]}, {size[2]} components",
        )
    if not 1 <= size[3] <= 16:
        raise DicomError(
            f"{name} has pixels of an unsupported type",
            expected="samples of 1 to 16 bits",
            received=f"{size[3]} bits",
        )
    return size[3]


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


def _jpeg_2000_size(frame: bytes) -> tuple[int, int, int, int] | None:
    """Return (rows, columns, components, bits) of the SIZ segment (ISO 15444-1 A.5.1)."""
    start = frame.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0 or len(frame) < start + 43:
        return None
    siz = frame[start + 8 :]
    right, bottom, left, top = (int.from_bytes(siz[at : at + 4], "big") for at in (0, 4, 8, 12))
    # Ssiz: the top bit is the sign, the others are the number of bits minus one.
    return bottom - top, right - left, int.from_bytes(siz[32:34], "big"), (siz[34] & 127) + 1


def _jpeg_size(frame: bytes) -> tuple[int, int, int, int] | None:
    """Return (rows, columns, components, bits) of the frame header (ISO 10918-1 B.2.2)."""
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
            return rows, columns, frame[offset + 9], frame[offset + 4]
        offset += 2 + int.from_bytes(frame[offset + 2 : offset + 4], "big")
    return None
