"""The one way to the header of a DICOM file: named fields of it, within limits."""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

from mammo_core.dicom.inflated import inflated
from mammo_core.dicom.limits import MAXIMUM_HEADER_BYTES
from mammo_core.errors import DicomError

if TYPE_CHECKING:  # takes a while to load
    from mammo_core.dicom.walk import Wanted

#: Keyword of PS3.6 → None for a value, or the fields of the items of a sequence.
Fields: TypeAlias = "Mapping[str, Fields | None]"

_IMPLICIT: Final = "1.2.840.10008.1.2"
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_CHARACTER_SET: Final = 0x00080005
_TRANSFER_SYNTAX: Final = 0x00020010
#: Pixel Data, Double Float Pixel Data, Float Pixel Data: here a header ends.
_PIXELS: Final = (0x7FE00010, 0x7FE00009, 0x7FE00008)


@dataclass(frozen=True)
class Header:
    """The fields of a header that were asked for.

    Args:
        data: pydicom Dataset with a file meta group that names a transfer syntax.
        place: Where the element of the pixels starts, if there is one: in the file, or in its
            data set once inflated.
        deflated: Where in the file the deflated data set starts; None where it is not deflated.
    """

    data: Any
    place: int
    deflated: int | None = None

    @property
    def syntax(self) -> str:
        """Transfer syntax UID."""
        return str(self.data.file_meta.TransferSyntaxUID)


def read_fields(file: BinaryIO, name: str, fields: Fields) -> Header:
    """Read some fields of the header of a DICOM file, and nothing behind its pixels' start.

    Every header of the library is read here. The limits (`limits.py`) are checked on the way,
    before a value is converted: whatever the file, that takes under a second and 100 MB.

    Args:
        file: The file, open.
        name: The file, for messages.
        fields: What to read; other fields are jumped over.

    Raises:
        DicomError: Not a DICOM file, no file meta group, no transfer syntax, a broken header,
            a header over a limit.
        OSError: The disk failed.
    """
    try:
        return _read_fields(file, name, fields)
    except (DicomError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DicomError(
            f"{name} has a header that cannot be parsed",
            expected="a DICOM data set as PS3.10 has it",
            received=f"{type(error).__name__} while parsing",
        ) from without_text(error)


def without_text(error: BaseException) -> Exception:
    """Return a cause to chain: where it went wrong, without what a header says.

    The text of a parser's error can quote a value, and a damaged header can hold a name in any
    field: kind and traceback are enough.

    Args:
        error: What a parser raised.
    """
    return RuntimeError(type(error).__name__).with_traceback(error.__traceback__)


def _read_fields(file: BinaryIO, name: str, fields: Fields) -> Header:
    from pydicom import config
    from pydicom.dataset import FileMetaDataset

    from mammo_core.dicom.walk import Walk

    # Validation only warns, and its warnings quote what is in the header.
    config.settings.reading_validation_mode = config.IGNORE
    file.seek(0)
    if file.read(132)[128:] != b"DICM":
        raise DicomError(
            f"{name} is not a DICOM file, or has no file meta group",
            expected="a DICOM Part 10 file: 128 bytes, DICM, file meta group",
            received="other bytes",
        )
    walk = Walk(file, name)
    meta = walk.data_set({_TRANSFER_SYNTAX: None}, False, lambda tag: tag >> 16 != 2)
    syntax = str(meta.get("TransferSyntaxUID") or "")
    if not re.fullmatch(r"[0-9.]{1,64}", syntax):
        raise DicomError(
            f"{name} names no transfer syntax",
            expected="Transfer Syntax UID (0002,0010) in the file meta group",
            received="none",
        )
    deflated = None
    if syntax == _DEFLATED:
        deflated = walk.place
        held = inflated(file, deflated, name).read(MAXIMUM_HEADER_BYTES + 1)
        cut = len(held) > MAXIMUM_HEADER_BYTES
        walk = Walk(io.BytesIO(held), name, deflated=True, cut=cut)
    else:
        # A command set (PS3.7 6.3) does not belong in a file, but is met in some.
        walk.data_set({}, True, lambda tag: tag >> 16 != 0)
        walk = Walk(file, name, little=syntax != _BIG_ENDIAN)
    data = walk.data_set(_tags(fields), syntax == _IMPLICIT, lambda tag: tag in _PIXELS)
    for _ in data.iterall():
        pass  # Values are converted when they are touched: meet every fault here.
    data.file_meta = FileMetaDataset(meta)
    return Header(data, walk.place, deflated)


def _tags(fields: Fields) -> "Wanted":
    return _tags_of(tuple(_frozen(fields)))


def _frozen(fields: Fields) -> Any:
    return tuple((name, inner and _frozen(inner)) for name, inner in fields.items())


@cache
def _tags_of(fields: Any) -> "Wanted":
    from pydicom.datadict import tag_for_keyword

    # The character set says how the text of every data set is encoded (PS3.3 C.12.1.1.2).
    found: dict[int, Wanted | None] = {_CHARACTER_SET: None}
    for name, inner in fields:
        tag = tag_for_keyword(name)
        if tag is None:
            raise KeyError(name)
        found[tag] = _tags_of(inner) if inner else None
    return found
