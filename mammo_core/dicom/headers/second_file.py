"""Where a DICOM file ends: what follows would be ignored without a word."""

import io
from typing import BinaryIO, Final, Literal

from mammo_core.dicom.headers.fields import Header
from mammo_core.dicom.headers.inflate import open_inflated
from mammo_core.dicom.headers.limits import MAXIMUM_DEPTH, MAXIMUM_ELEMENTS, header_limit_error
from mammo_core.dicom.rasters.raster_header import PNG, raster_format
from mammo_core.errors import DicomError

#: How files start: DICM with the first element of the file meta group (PS3.10 7.1), and PNG. None
#: of them occurs by chance in elements after the pixels.
_STARTS: Final = (b"DICM\x02\x00", PNG)
_LONGEST: Final = max(map(len, _STARTS))
_CHUNK_BYTES: Final = 2**18
#: Inflated bytes after the pixels: inflating them takes about a second.
_MAXIMUM_INFLATED: Final = 2**29
_IMPLICIT: Final = "1.2.840.10008.1.2"
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_UNDEFINED: Final = 0xFFFFFFFF
_PIXELS: Final = 0x7FE00010
#: Group of items and delimiters, which no data set has outside of a sequence (PS3.5 7.5).
_DELIMITERS: Final = 0xFFFE
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD


def require_single_file(file: BinaryIO, header: Header, name: str) -> None:
    """Refuse a DICOM file that anything but padding follows.

    Elements after the pixels belong to the data set: its trailing padding, digital signatures and
    private elements. Zeros after its end are padding.

    Args:
        file: The open file, whose pixels can be read; it is left anywhere.
        header: Its header.
        name: The file, for messages.

    Raises:
        DicomError: Bytes follow its end, another file is in an element after its pixels, or these
            exceed the limits.
        OSError: The disk failed.
    """
    if header.deflated_offset is None:
        file.seek(header.pixel_offset)
        _Tail(file, header, name).require_end()
        return
    inflated = open_inflated(file, header.deflated_offset, name)
    tail = _Tail(inflated, header, name, to_skip=header.pixel_offset)
    tail.require_end()
    end = inflated.raw.deflated_end  # type: ignore[attr-defined]
    if end is not None:  # a truncated data set may have all its pixels
        file.seek(end)
        trailer = file.read(8)
        # Some writers keep the trailer of gzip: a checksum, and the inflated size (RFC 1952 2.3.1).
        has_trailer = int.from_bytes(trailer[4:], "little") == tail.size & 0xFFFFFFFF
        file.seek(end + 8 * (len(trailer) == 8 and has_trailer))
        _Tail(file, header, name).require_padding()


class _NoElementError(Exception):
    """The next bytes are no element."""


class _Tail:
    """The rest of a data set from its pixel element on, read once and only forward.

    Attributes:
        size: Bytes read, with those before the pixel element; not counted where they are skipped.
    """

    def __init__(self, file: BinaryIO, header: Header, name: str, to_skip: int = 0) -> None:
        self._file, self._name = file, name
        self._order: Literal["little", "big"] = "big" if header.syntax == _BIG_ENDIAN else "little"
        self._implicit = header.syntax == _IMPLICIT
        self._is_inflated = to_skip > 0
        self._ahead = b""
        self.size = self._count = 0
        while to_skip > 0 and (chunk := file.read(min(to_skip, _CHUNK_BYTES))):
            to_skip -= len(chunk)
            self.size += len(chunk)
        self._most = self.size + _MAXIMUM_INFLATED

    def require_end(self) -> None:
        """Refuse what follows the pixels and the elements after them: tags ascend (PS3.5 7.1)."""
        last = _PIXELS
        self._skip_pixels()
        while True:
            start = self._peek(132)
            tag = self._tag(start)
            # No tag after that of the pixels starts with a zero, in either byte order.
            if len(start) < 8 or start[0] == 0 or tag <= last or tag >> 16 == _DELIMITERS:
                break
            if raster_format(start):  # JPEG starts as a private tag does
                break
            try:
                self._skip_element()
            except _NoElementError:
                raise self._error(start) from None
            last = tag
        self.require_padding()

    def require_padding(self) -> None:
        """Refuse anything but zeros."""
        while chunk := self._read(_CHUNK_BYTES):
            if tail := chunk.lstrip(b"\0"):
                raise self._error(tail[:132] + self._read(max(0, 132 - len(tail))))

    def _skip_pixels(self) -> None:
        """Skip the pixel element, which has been read already."""
        start = self._read(8 if self._implicit else 12)
        length = self._number(start[-4:])
        if length != _UNDEFINED:
            self._most = self.size + length + _MAXIMUM_INFLATED
            self._pass(length)
            return
        while self._tag(self._peek(4)) == _ITEM:
            self._pass(self._number(self._read(8)[4:]))
        while self._tag(self._peek(4)) == _SEQUENCE_END:  # some writers omit or repeat it
            self._read(8)

    def _skip_element(self, depth: int = 0) -> None:
        from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

        self._count_one()
        if depth > MAXIMUM_DEPTH:
            raise _NoElementError
        start = self._read(8)
        length = self._number(start[4:])
        code = start[4:6].decode("latin-1")
        # Some writers switch to implicit VR within a data set.
        if not self._implicit and code in EXPLICIT_VR_LENGTH_32:
            length = self._number(self._read(4))
        elif not self._implicit and code in list(VR):
            length = self._number(start[6:8])
        if length == _UNDEFINED:
            self._skip_items(depth)
        elif not self._skip(length):
            raise _NoElementError

    def _skip_items(self, depth: int) -> None:
        """Skip the items of a value of undefined length, and its delimiter."""
        while True:
            self._count_one()
            start = self._read(8)
            tag, length = self._tag(start), self._number(start[4:])
            if tag == _SEQUENCE_END:
                return
            if len(start) < 8 or tag != _ITEM:
                raise _NoElementError
            if length != _UNDEFINED:
                if not self._skip(length):
                    raise _NoElementError
                continue
            while self._tag(self._peek(4)) != _ITEM_END:
                if len(self._peek(8)) < 8:
                    raise _NoElementError
                self._skip_element(depth + 1)
            self._read(8)

    def _pass(self, count: int) -> None:
        """Go over pixels, which are complete."""
        if self._is_inflated:
            self._skip(count)
        else:
            self._file.seek(count - len(self._ahead), io.SEEK_CUR)
            self._ahead = b""

    def _skip(self, count: int) -> bool:
        """Skip a value; return whether it is complete. A file that begins within it is refused."""
        window = b""
        while count and (chunk := self._read(min(count, _CHUNK_BYTES))):
            count -= len(chunk)
            window = window[1 - _LONGEST :] + chunk
            if any(start in window for start in _STARTS):
                raise _second_file_error(self._name)
        return not count

    def _count_one(self) -> None:
        self._count += 1
        if self._count > MAXIMUM_ELEMENTS:
            what = "elements and items after its pixels"
            raise header_limit_error(self._name, what, MAXIMUM_ELEMENTS)

    def _peek(self, count: int) -> bytes:
        if len(self._ahead) < count:
            self._ahead += self._file.read(count - len(self._ahead))
        return self._ahead[:count]

    def _read(self, count: int) -> bytes:
        ahead, self._ahead = self._ahead[:count], self._ahead[count:]
        data = ahead + self._file.read(count - len(ahead))
        self.size += len(data)
        if self._is_inflated and self.size > self._most:
            what = "bytes after its pixels"
            raise header_limit_error(self._name, what, _MAXIMUM_INFLATED, deflated=True)
        return data

    def _tag(self, start: bytes) -> int:
        return self._number(start[:2]) << 16 | self._number(start[2:4])

    def _number(self, value: bytes) -> int:
        return int.from_bytes(value, self._order)

    def _error(self, start: bytes) -> DicomError:
        """Return the error of bytes that are none of the data set.

        Args:
            start: The first 132 of them.
        """
        if raster_format(start) or start.startswith(b"DICM") or start[128:] == b"DICM":
            return _second_file_error(self._name)
        return DicomError(
            f"{self._name} has bytes after its end",
            expected="one image in a file, and at most zeros after it",
            received="other bytes",
            hint="Export the image again: the file is damaged, or another one was added to it",
        )


def _second_file_error(name: str) -> DicomError:
    return DicomError(
        f"{name} has another image file after its end",
        expected="one image in a file",
        received="at least two",
        hint="Split it: each image is a file of its own",
    )
