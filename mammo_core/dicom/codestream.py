"""Look at a compressed frame before a native codec does."""

from mammo_core.errors import DicomError

_RLE = "1.2.840.10008.1.2.5"
#: JPEG 2000 and High-Throughput JPEG 2000.
_JPEG_2000 = ("1.2.840.10008.1.2.4.9", "1.2.840.10008.1.2.4.20")


def check_codestream(frame: bytes, syntax: str, rows: int, columns: int, name: str) -> int | None:
    """Refuse a frame that is cut off, or whose own size is not the header's.

    A codec takes memory by what the frame claims, and may fill up a frame that is cut off.

    Args:
        frame: The codestream of the one frame, its fragments joined.
        syntax: Transfer syntax UID.
        rows: Rows by the header.
        columns: Columns by the header.
        name: The file, for messages.

    Returns:
        Bits of a sample by the codestream; None for RLE, which does not say.

    Raises:
        DicomError: The frame is truncated or claims another size.
    """
    if syntax == _RLE:
        _check_rle(frame, name)
        return None
    # PS3.5 A.4: a frame of odd length is padded; the end marker is FFD9 in all of them.
    if b"\xff\xd9" not in frame[-16:] and not frame.rstrip(b"\x00").endswith(b"\xff\xd9"):
        raise DicomError(
            f"{name} has truncated pixels",
            expected="a frame with an end marker",
            received=f"{len(frame)} bytes without one",
        )
    size = _size_2000(frame) if syntax.startswith(_JPEG_2000) else _size_jpeg(frame)
    if size is None or size[:3] != (rows, columns, 1):
        raise DicomError(
            f"{name} holds another picture than its header says",
            expected=f"{rows}x{columns}, one component",
            received="no frame header"
            if size is None
            else f"{size[0]}x{size[1]}, {size[2]} components",
        )
    if not 1 <= size[3] <= 16:
        raise DicomError(
            f"{name} has pixels of another kind",
            expected="samples of 1 to 16 bits",
            received=f"{size[3]} bits",
        )
    return size[3]


def _check_rle(frame: bytes, name: str) -> None:
    """Refuse an RLE header (PS3.5 G.5) that is cut off or points outside of the frame."""
    numbers = [int.from_bytes(frame[place : place + 4], "little") for place in range(0, 64, 4)]
    count, offsets = numbers[0], numbers[1 : 1 + numbers[0]]
    if len(frame) < 64 or not 1 <= count <= 2 or max(offsets) >= len(frame):
        raise DicomError(
            f"{name} has truncated or broken pixels",
            expected="an RLE header of one or two segments within the frame",
            received=f"{len(frame)} bytes, {count if len(frame) >= 64 else 'no'} segments",
        )


def _size_2000(frame: bytes) -> tuple[int, int, int, int] | None:
    """Return (rows, columns, components, bits) by the SIZ segment (ISO 15444-1 A.5.1)."""
    start = frame.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0 or len(frame) < start + 43:
        return None
    siz = frame[start + 8 :]
    right, bottom, left, top = (
        int.from_bytes(siz[place : place + 4], "big") for place in (0, 4, 8, 12)
    )
    # Ssiz: the top bit tells a sign, the others the bits less one.
    return bottom - top, right - left, int.from_bytes(siz[32:34], "big"), (siz[34] & 127) + 1


def _size_jpeg(frame: bytes) -> tuple[int, int, int, int] | None:
    """Return (rows, columns, components, bits) by the frame header (ISO 10918-1 B.2.2)."""
    if frame[:2] != b"\xff\xd8":
        return None
    place = 2
    while place + 10 <= len(frame) and frame[place] == 0xFF:
        marker = frame[place + 1]
        if marker == 0xFF:  # A fill byte.
            place += 1
            continue
        # SOF0 to SOF15 without DHT, JPG and DAC; F7 is SOF55 of JPEG-LS.
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            rows = int.from_bytes(frame[place + 5 : place + 7], "big")
            columns = int.from_bytes(frame[place + 7 : place + 9], "big")
            return rows, columns, frame[place + 9], frame[place + 4]
        place += 2 + int.from_bytes(frame[place + 2 : place + 4], "big")
    return None
