"""Image files that are hashed while they are read."""

import hashlib
import io
from pathlib import Path
from typing import Any, Final

from mammo_core.errors import DicomError

#: Bytes that are read and hashed at a time: few enough that they are still in the cache when
#: they are hashed, and enough that the interpreter's lock is rarely requested.
_CHUNK_BYTES: Final = 2**18


class HashingFile(io.FileIO):
    """A file that computes its SHA-256 while it is read, so it need not be read twice.

    Every byte is hashed once and in order, however the reader seeks. Skipped bytes are read when
    the reader continues after them or, if there are many, at the end.

    Args:
        path: The file.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._sha256 = hashlib.sha256()
        self._hashed = 0

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, or the first part of it, with the next bytes.

        Args:
            buffer: A writable buffer of bytes.

        Returns:
            Bytes read; 0 at the end of the file.

        Raises:
            OSError: The disk failed.
        """
        start = self.tell()
        if 0 < start - self._hashed <= _CHUNK_BYTES:
            self._hash_until(start)
        part = memoryview(buffer)[:_CHUNK_BYTES]
        read = super().readinto(part)
        new = start + read - self._hashed
        if 0 < new <= read:
            self._sha256.update(part[read - new : read])
            self._hashed += new
        return read

    def hexdigest(self) -> str:
        """Read the rest of the file and return the SHA-256 of the whole file (hex).

        Raises:
            OSError: The disk failed.
        """
        self._hash_until(None)
        return self._sha256.hexdigest()

    def _hash_until(self, end: int | None) -> None:
        """Hash the skipped bytes up to a position, or to the end, and seek there."""
        self.seek(self._hashed)
        buffer = memoryview(bytearray(_CHUNK_BYTES))
        while end is None or self._hashed < end:
            size = _CHUNK_BYTES if end is None else min(_CHUNK_BYTES, end - self._hashed)
            read = super().readinto(buffer[:size])
            if not read:
                return
            self._sha256.update(buffer[:read])
            self._hashed += read


def open_image_file(path: Path, name: str, *, hash_file: bool = False) -> io.BufferedReader:
    """Open an image file.

    Args:
        path: The file.
        name: The file, for messages.
        hash_file: Whether to hash the file while it is read, for `file_digest`.

    Raises:
        DicomError: The file does not exist, or is a folder.
        OSError: The disk failed.
    """
    try:
        return io.BufferedReader(HashingFile(path) if hash_file else io.FileIO(path))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        # Any other OSError is a fault of the machine, not of the file.
        raise DicomError(
            f"{name} cannot be opened", expected="a file", received=str(error.strerror)
        ) from error


def file_digest(file: io.BufferedReader) -> str | None:
    """Return the SHA-256 (hex) of a file that was opened with `hash_file`, otherwise None."""
    return file.raw.hexdigest() if isinstance(file.raw, HashingFile) else None
