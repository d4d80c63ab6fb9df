"""Deflated data sets, inflated only as far as they are read (PS3.5 A.5)."""

import io
import zlib
from typing import Any, BinaryIO, Final

from mammo_core.errors import DicomError

_STEP: Final = 2**16


class Inflated(io.RawIOBase):
    """The bytes of a deflated data set, from its start on.

    One read inflates what it returns and no more, whatever the ratio (1029:1 is possible).

    Args:
        file: The file, open.
        start: Offset of the deflated bytes.
        name: The file, for messages.
    """

    def __init__(self, file: BinaryIO, start: int, name: str) -> None:
        super().__init__()
        self._file = file
        self._name = name
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        file.seek(start)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, space: Any) -> int:
        """Fill a buffer with the next bytes, or a first part of it.

        Args:
            space: A buffer of bytes, to be written to.

        Returns:
            Bytes inflated; 0 at the end of the data set, or of a file that is cut off.

        Raises:
            DicomError: The bytes are not deflated ones.
            OSError: The disk failed.
        """
        room = len(space)
        while room and not self._inflater.eof:
            chunk = self._inflater.unconsumed_tail or self._file.read(_STEP)
            try:
                # At the end of the file the inflater may still hold bytes.
                piece = self._inflater.decompress(chunk, room)
            except zlib.error as error:
                raise DicomError(
                    f"{self._name} has a data set that cannot be inflated",
                    expected="deflated bytes, as its transfer syntax says",
                    received="other bytes",
                ) from error
            if piece:
                space[: len(piece)] = piece
                return len(piece)
            if not chunk:
                break
        return 0


def inflated(file: BinaryIO, start: int, name: str) -> io.BufferedReader:
    """Open a deflated data set for reading from its start on.

    Args:
        file: The file, open; not to be used otherwise meanwhile.
        start: Offset of the deflated bytes.
        name: The file, for messages.

    Raises:
        OSError: The disk failed.
    """
    return io.BufferedReader(Inflated(file, start, name), _STEP)
