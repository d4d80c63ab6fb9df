"""Look at a compressed frame before a native codec does."""

from typing import Any

from mammo_core.errors import DicomError

_RLE = "1.2.840.10008.1.2.5"
_JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")


def check_codestream(data: Any, name: str) -> None:
    """Refuse a frame that is cut off, or whose own size is not the header's.

    A codec takes memory by what the frame claims, and may fill up a frame that is cut off.

    Args:
        data: pydicom Dataset with encapsulated PixelData.
        name: The file, for messages.

    Raises:
        DicomError: The frame is truncated or claims another size.
    """
    from pydicom.encaps import get_frame

    syntax = str(data.file_meta.TransferSyntaxUID)
    frame = bytes(get_frame(data.PixelData, 0, number_of_frames=1))
    if syntax == _RLE:
        return
    # PS3.5 A.4: a frame of odd length is padded; the end marker is FFD9 in all three.
    if not frame.rstrip(b"\x00").endswith(b"\xff\xd9") and b"\xff\xd9" not in frame[-16:]:
        raise DicomError(
            f"{name} has truncated pixels",
            expected="a frame with an end marker",
            received=f"{len(frame)} bytes without one",
        )
    size = _size_2000(frame) if syntax in _JPEG_2000 else _size_jpeg(frame)
    expected = (int(data.Rows), int(data.Columns), 1)
    if size != expected:
        raise DicomError(
            f"{name} holds another picture than its header says",
            expected=f"{expected[0]}x{expected[1]}, one component",
            received="no frame header"
            if size is None
            else f"{size[0]}x{size[1]}, {size[2]} components",
        )


def _size_2000(frame: bytes) -> tuple[int, int, int] | None:
    """Return (rows, columns, components) by the SIZ segment (ISO 15444-1 A.5.1)."""
    start = frame.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0 or len(frame) < start + 42:
        return None
    siz = frame[start + 8 :]
    right, bottom, left, top = (
        int.from_bytes(siz[place : place + 4], "big") for place in (0, 4, 8, 12)
    )
    return bottom - top, right - left, int.from_bytes(siz[32:34], "big")


def _size_jpeg(frame: bytes) -> tuple[int, int, int] | None:
    """Return (rows, columns, components) by the frame header (ISO 10918-1 B.2.2)."""
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
            return rows, columns, frame[place + 9]
        place += 2 + int.from_bytes(frame[place + 2 : place + 4], "big")
    return None
