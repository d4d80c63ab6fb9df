"""Two files in one: the second would be ignored without a word."""

from typing import BinaryIO, Final

from mammo_core.errors import DicomError

#: How files start: DICM with the first element of the file meta group (PS3.10 7.1), and PNG. None
#: of them occurs in pixels by chance.
_STARTS: Final = (b"DICM\x02\x00", b"\x89PNG\r\n\x1a\n")
_LONGEST: Final = max(map(len, _STARTS))
_CHUNK_BYTES: Final = 2**18


def require_single_file(file: BinaryIO, start: int, name: str) -> None:
    """Refuse a file that another image file follows.

    Trailing padding and data elements after the pixels are allowed.

    Args:
        file: The open file; it is left at its end.
        start: Where its own content ends, or an earlier offset after its own start.
        name: The file, for messages.

    Raises:
        DicomError: Another DICOM or PNG file follows.
        OSError: The disk failed.
    """
    file.seek(start)
    window = b""
    while chunk := file.read(_CHUNK_BYTES):
        window = window[1 - _LONGEST :] + chunk
        if any(signature in window for signature in _STARTS):
            raise DicomError(
                f"{name} has another image file after its end",
                expected="one image in a file",
                received="at least two",
                hint="Split it: each image is a file of its own",
            )
