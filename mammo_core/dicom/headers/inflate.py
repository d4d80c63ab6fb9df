"""Deflated data sets, inflated only as far as they are read (PS3.5 A.5)."""

import io
import zlib
from typing import Any, BinaryIO, Final

from mammo_core.errors import DicomError

_CHUNK_BYTES: Final = 2**16
#: Deflated bytes that may inflate to nothing: an encoder writes an empty block of a few bytes.
_MAXIMUM_EMPTY_BYTES: Final = 2**20


class InflatingReader(io.RawIOBase):
    """A reader of the inflated bytes of a deflated data set.

    A read inflates only the bytes that it returns, at any compression ratio (1029:1 is possible).

    Args:
        file: The open file.
        start: Offset of the deflated bytes.
        name: The file, for messages.
    """

    def __init__(self, file: BinaryIO, start: int, name: str) -> None:
        super().__init__()
        self._file = file
        self._name = name
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        file.seek(start)

    @property
    def deflated_end(self) -> int | None:
        """Offset in the file of what follows the deflated bytes; None before their end is read."""
        if not self._inflater.eof:
            return None
        return self._file.tell() - len(self._inflater.unused_data)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, or the first part of it, with the next bytes.

        Args:
            buffer: A writable buffer of bytes.

        Returns:
            Number of bytes inflated; 0 at the end of the data set or of a truncated file.

        Raises:
            DicomError: The bytes are not deflated data, or do not end inflating to nothing.
            OSError: The disk failed.
        """
        room, empty = len(buffer), 0
        while room and not self._inflater.eof:
            chunk = self._inflater.unconsumed_tail or self._file.read(_CHUNK_BYTES)
            try:
                # At the end of the file the inflater may still have bytes.
                piece = self._inflater.decompress(chunk, room)
            except zlib.error as error:
                raise DicomError(
                    f"{self._name} has a data set that cannot be inflated",
                    expected="deflated bytes, as its transfer syntax states",
                    received="other bytes",
                ) from error
            if piece:
                buffer[: len(piece)] = piece
                return len(piece)
            if not chunk:
                break
            empty += len(chunk)
            if empty > _MAXIMUM_EMPTY_BYTES:
                raise DicomError(
                    f"{self._name} has a data set that cannot be inflated",
                    expected=f"at most {_MAXIMUM_EMPTY_BYTES} deflated bytes without content",
                    received="more",
                    hint="The file is damaged or hostile: export the image again",
                )
        return 0


def open_inflated(file: BinaryIO, start: int, name: str) -> io.BufferedReader:
    """Open a deflated data set for reading its inflated bytes.

    Args:
        file: The open file; not to be used otherwise in the meantime.
        start: Offset of the deflated bytes.
        name: The file, for messages.

    Raises:
        OSError: The disk failed.
    """
    return io.BufferedReader(InflatingReader(file, start, name), _CHUNK_BYTES)
