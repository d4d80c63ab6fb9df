"""The fragments of a compressed frame (PS3.5 A.4)."""

import io
import itertools
from typing import BinaryIO, Final

from mammo_core.dicom.codecs.codestream import (
    contains_several_frames,
    ends_frame,
    is_rle,
    starts_frame,
)
from mammo_core.dicom.headers.header import MAXIMUM_BYTES
from mammo_core.dicom.headers.limits import MAXIMUM_FRAGMENTS
from mammo_core.errors import DicomError

_ITEM: Final = b"\xfe\xff\x00\xe0"


def read_fragments(file: BinaryIO, name: str) -> bytes:
    """Return the joined fragments of the only frame.

    The Basic Offset Table before them may be empty or, against the standard, missing.

    Args:
        file: The file, at the first item of the pixel element.
        name: The file, for messages.

    Raises:
        DicomError: The fragments are truncated, too large, or belong to several frames.
        OSError: The disk failed.
    """
    pieces = _read_items(file, name)
    if pieces and not starts_frame(pieces[0]):
        _require_one_offset(pieces.pop(0), name)
    for before, after in itertools.pairwise(pieces):
        if starts_frame(after) and (ends_frame(before) or is_rle(after)):
            raise several_frames_error(name, "fragments of more")
    frame = b"".join(pieces)
    if contains_several_frames(frame):
        raise several_frames_error(name, "more")
    if not frame:
        raise no_pixels_error(name)
    return frame


def _read_items(file: BinaryIO, name: str) -> list[bytes]:
    start = file.tell()
    size = file.seek(0, io.SEEK_END) - start
    if size > MAXIMUM_BYTES:
        raise DicomError(
            f"{name} has a compressed frame that exceeds the limits",
            expected=f"at most {MAXIMUM_BYTES} bytes",
            received=str(size),
        )
    file.seek(start)
    pieces: list[bytes] = []
    while (item := file.read(8))[:4] == _ITEM:
        length = int.from_bytes(item[4:], "little")
        if len(pieces) >= MAXIMUM_FRAGMENTS:
            raise DicomError(
                f"{name} has a compressed frame that exceeds the limits",
                expected=f"a frame in at most {MAXIMUM_FRAGMENTS} fragments",
                received="more",
            )
        if length > size:
            raise truncated_error(name, length, size, "bytes in a fragment")
        piece = file.read(length)
        if len(piece) < length:
            raise truncated_error(name, length, len(piece), "bytes in a fragment")
        pieces.append(piece)
    return pieces


def _require_one_offset(table: bytes, name: str) -> None:
    """Reject a Basic Offset Table that is none, or that lists several frames."""
    if len(table) % 4 or (table and table[:4] != b"\0\0\0\0"):
        raise DicomError(
            f"{name} has an invalid Basic Offset Table",
            expected="an empty table, or the offset 0 of the only frame",
            received=f"{len(table)} other bytes",
            hint="The file is damaged: export the image again",
        )
    if len(table) > 4:
        raise several_frames_error(name, str(len(table) // 4))


def several_frames_error(name: str, received: str) -> DicomError:
    """Return the error for a file with more frames than its header states.

    Args:
        name: The file, for the message.
        received: The number of frames, or what is known of it.
    """
    return DicomError(
        f"{name} has the pixels of several images",
        expected="one frame, as its header states",
        received=received,
        hint="Export its images as single frames",
    )


def no_pixels_error(name: str) -> DicomError:
    """Return the error for a file without pixels."""
    return DicomError(f"{name} has no pixels", expected="Pixel Data (7FE0,0010)", received="none")


def truncated_error(name: str, expected: int, received: int, unit: str = "bytes") -> DicomError:
    """Return the error for pixels that are not complete.

    Args:
        name: The file, for the message.
        expected: Number of bytes that are missing in part.
        received: Number of bytes that exist.
        unit: What is counted.
    """
    return DicomError(
        f"{name} has truncated pixels",
        expected=f"{expected} {unit}",
        received=str(received),
    )
