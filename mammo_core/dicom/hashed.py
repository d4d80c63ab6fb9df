"""Files that are hashed while they are read."""

import hashlib
import io
from pathlib import Path
from typing import Any, Final

from mammo_core.dicom.header import raise_unless_missing

#: Bytes that are read and hashed at a time: few enough to be in the cache still when they are
#: hashed, many enough that the interpreter's lock is seldom asked for.
_STEP: Final = 2**18


class HashedFile(io.FileIO):
    """A file whose SHA-256 is known once it was read, at the cost of no second read.

    Bytes count in their order, once, however the reader seeks. What it leaves out is read
    when it goes on behind it; when that is much, at the end, with all that follows.

    Args:
        path: The file.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._sha256 = hashlib.sha256()
        self._hashed = 0

    def readinto(self, space: Any) -> int:
        """Fill a buffer with the next bytes, or a first part of it.

        Args:
            space: A buffer of bytes, to be written to.

        Returns:
            Bytes read; 0 at the end of the file.

        Raises:
            OSError: The disk failed.
        """
        place = self.tell()
        if 0 < place - self._hashed <= _STEP:
            self._hash_until(place)
        part = memoryview(space)[:_STEP]
        read = super().readinto(part)
        fresh = place + read - self._hashed
        if 0 < fresh <= read:
            self._sha256.update(part[read - fresh : read])
            self._hashed += fresh
        return read

    def hexdigest(self) -> str:
        """Read what is left; return the SHA-256 of all of the file (hex).

        Raises:
            OSError: The disk failed.
        """
        self._hash_until(None)
        return self._sha256.hexdigest()

    def _hash_until(self, end: int | None) -> None:
        """Hash what was left out before a place, or all that is left, and go there."""
        self.seek(self._hashed)
        space = memoryview(bytearray(_STEP))
        while end is None or self._hashed < end:
            size = _STEP if end is None else min(_STEP, end - self._hashed)
            read = super().readinto(space[:size])
            if not read:
                return
            self._sha256.update(space[:read])
            self._hashed += read


def opened(path: Path, name: str, *, hashed: bool = False) -> io.BufferedReader:
    """Open an image file.

    Args:
        path: The file.
        name: The file, for messages.
        hashed: Whether to hash it on the way: `sha256_of` tells.

    Raises:
        DicomError: There is no such file, or it is a folder.
        OSError: The disk failed.
    """
    try:
        return io.BufferedReader(HashedFile(path) if hashed else io.FileIO(path))
    except OSError as error:
        raise_unless_missing(error, name)
        raise


def sha256_of(file: io.BufferedReader) -> str | None:
    """Return the SHA-256 (hex) of a file that was opened to be hashed; None for another."""
    return file.raw.hexdigest() if isinstance(file.raw, HashedFile) else None
