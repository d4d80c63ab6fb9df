"""Image files that are hashed while they are read."""

import errno
import hashlib
import io
import os
import stat
from pathlib import Path
from typing import Any, Final

from mammo_core.errors import DicomError

#: Bytes that are read and hashed at a time: few enough that they are still in the cache when
#: they are hashed, and enough that the interpreter's lock is rarely requested.
_CHUNK_BYTES: Final = 2**18
#: Errors of a path without a file: nothing there, a folder, a link in a circle, a socket, too many
#: letters. Any other error is a fault of the machine.
_NO_FILE: Final = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENXIO,
                   errno.ENAMETOOLONG)  # fmt: skip


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
        super().__init__(path, opener=_open_at_once)
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
        DicomError: The file does not exist, or is a folder, a pipe or a device.
        OSError: The disk failed.
    """
    try:
        file = HashingFile(path) if hash_file else io.FileIO(path, opener=_open_at_once)
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        raise DicomError(
            f"{name} cannot be opened", expected="a file", received=str(error.strerror)
        ) from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise DicomError(
            f"{name} cannot be opened", expected="a file", received="a pipe or a device"
        )
    return io.BufferedReader(file)


def _open_at_once(path: str, flags: int) -> int:
    """Open a path without waiting for whoever writes into a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def file_digest(file: io.BufferedReader) -> str | None:
    """Return the SHA-256 (hex) of a file that was opened with `hash_file`, otherwise None."""
    return file.raw.hexdigest() if isinstance(file.raw, HashingFile) else None
