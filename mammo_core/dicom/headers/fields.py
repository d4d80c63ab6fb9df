"""Reading named fields of a DICOM header, within limits: the only way to a header."""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

from mammo_core.dicom.headers.inflate import open_inflated
from mammo_core.dicom.headers.limits import MAXIMUM_HEADER_BYTES
from mammo_core.errors import DicomError

if TYPE_CHECKING:  # slow to import
    from pydicom.dataset import Dataset

    from mammo_core.dicom.headers.walk import TagTree

#: Keyword (PS3.6), or eight hexadecimal digits for the groups that have none → None for a value, or
#: the fields of the items of a sequence.
Fields: TypeAlias = "Mapping[str, Fields | None]"

_IMPLICIT: Final = "1.2.840.10008.1.2"
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_CHARACTER_SET: Final = 0x00080005
_TRANSFER_SYNTAX: Final = 0x00020010
#: Requested fields by identity → their tags, the keyword of each tag, and the fields themselves.
_TREES: "Final[dict[int, tuple[TagTree, dict[int, str], Fields]]]" = {}
_MAXIMUM_TREES: Final = 64
#: Pixel Data, Double Float Pixel Data, Float Pixel Data: the header ends here.
_PIXELS: Final = (0x7FE00010, 0x7FE00009, 0x7FE00008)

#: First bytes of other files that people have in place of DICOM files, for the message.
_OTHERS: Final = {
    b"BM": "a BMP picture",
    b"GIF8": "a GIF picture",
    b"RIFF": "a WebP picture",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 picture",
    b"\xff\x4f\xff\x51": "a JPEG 2000 picture",
    b"P7": "a PAM picture",
    b"Pf": "a PFM picture",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
}


class FieldValues(dict[str, Any]):
    """The values of fields by keyword, also as attributes; the items of a sequence are such too.

    Reading a value takes a tenth of the time that it takes from a pydicom Dataset.
    """

    file_meta: Any

    def __getattr__(self, keyword: str) -> Any:
        """Return the value of a field.

        Raises:
            AttributeError: The header does not have it.
        """
        try:
            return self[keyword]
        except KeyError:
            raise AttributeError(keyword) from None


@dataclass(frozen=True)
class Header:
    """The requested fields of a header.

    Args:
        data: Values by keyword, with a `file_meta` that names a transfer syntax.
        pixel_offset: Offset of the pixel element, if there is one: in the file or, for a
            deflated data set, in the inflated data set.
        deflated_offset: Offset of the deflated data set in the file; None if it is not deflated.
    """

    data: Any
    pixel_offset: int
    deflated_offset: int | None = None

    @property
    def syntax(self) -> str:
        """Transfer syntax UID."""
        return str(self.data.file_meta.TransferSyntaxUID)


def read_fields(file: BinaryIO, name: str, fields: Fields) -> Header:
    """Read some fields of the header of a DICOM file, up to its pixels.

    The library reads every header here. The limits (`limits.py`) are checked before a value is
    converted, so that any file takes less than a second and 100 MB.

    Args:
        file: The open file.
        name: The file, for messages.
        fields: The fields to read; others are skipped.

    Raises:
        DicomError: Not a DICOM file, no file meta group, no transfer syntax, a damaged header,
            or a header over a limit.
        OSError: The disk failed.
    """
    with _only_dicom_errors(name):
        data, header = _read_elements(file, name, fields)
        values = _field_values(data, fields)
        values.file_meta = header.data
        return replace(header, data=values)


def read_elements(file: BinaryIO, name: str, fields: Fields) -> "Dataset":
    """Read some fields of the header of a DICOM file as they are stored, within the same limits.

    Args:
        file: The open file.
        name: The file, for messages.
        fields: The fields to read; others are skipped.

    Returns:
        The elements, unconverted, with the character set of the file.

    Raises:
        DicomError: As `read_fields`, for a value that is not converted only later.
        OSError: The disk failed.
    """
    with _only_dicom_errors(name):
        return _read_elements(file, name, fields)[0]


@contextmanager
def _only_dicom_errors(name: str) -> Iterator[None]:
    try:
        yield
    except (DicomError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DicomError(
            f"{name} has a header that cannot be parsed",
            expected="a DICOM data set as defined in PS3.10",
            received=f"{type(error).__name__} while parsing",
        ) from error_without_text(error)


def error_without_text(error: BaseException) -> Exception:
    """Return an error to chain as a cause: its type and traceback without its text.

    The text of a parser's error can quote a value, and a damaged header can contain a patient's
    name in any field.

    Args:
        error: The error of a parser.
    """
    return RuntimeError(type(error).__name__).with_traceback(error.__traceback__)


def _read_elements(file: BinaryIO, name: str, fields: Fields) -> "tuple[Dataset, Header]":
    """Return the elements, and a header whose data is the file meta group."""
    from pydicom import config
    from pydicom.dataset import FileMetaDataset

    from mammo_core.dicom.headers.walk import Walk

    # Validation only issues warnings, which quote values of the header.
    config.settings.reading_validation_mode = config.IGNORE
    file.seek(0)
    start = file.read(132)
    if start[128:] != b"DICM":
        kind = next((kind for first, kind in _OTHERS.items() if start.startswith(first)), "")
        raise DicomError(
            f"{name} is not a DICOM file, or has no file meta group",
            expected="a DICOM Part 10 file: 128 bytes, DICM, file meta group",
            received=kind or "other bytes",
            hint="Export the original as DICOM, or as gray PNG, TIFF or PGM" if kind else None,
        )
    walk = Walk(file, name)
    meta = walk.data_set({_TRANSFER_SYNTAX: None}, False, lambda tag: tag >> 16 != 2)
    syntax = str(meta.get("TransferSyntaxUID") or "")
    if not re.fullmatch(r"[0-9.]{1,64}", syntax):
        raise DicomError(
            f"{name} has no transfer syntax",
            expected="Transfer Syntax UID (0002,0010) in the file meta group",
            received="none",
        )
    deflated_offset = None
    if syntax == _DEFLATED:
        deflated_offset = walk.position
        content = open_inflated(file, deflated_offset, name).read(MAXIMUM_HEADER_BYTES + 1)
        truncated = len(content) > MAXIMUM_HEADER_BYTES
        walk = Walk(io.BytesIO(content), name, deflated=True, truncated=truncated)
    else:
        # A command set (PS3.7 6.3) does not belong in a file, but some files have one.
        walk.data_set({}, True, lambda tag: tag >> 16 != 0)
        walk = Walk(file, name, little_endian=syntax != _BIG_ENDIAN)
    data = walk.data_set(_tag_tree(fields), syntax == _IMPLICIT, lambda tag: tag in _PIXELS)
    return data, Header(FileMetaDataset(meta), walk.position, deflated_offset)


def _field_values(data: Any, fields: Fields) -> FieldValues:
    from mammo_core.dicom.headers.walk import element_value

    names = _tag_names(fields)
    values = FieldValues()
    for tag, element in data.items():
        # Every value is converted, so that every error is raised here.
        value = element_value(data, element)
        # A tag of pydicom compares in Python code.
        if name := names.get(int(tag)):
            inner = fields[name]
            values[name] = [_field_values(item, inner) for item in value] if inner else value
    return values


def _tag_tree(fields: Fields) -> "TagTree":
    return _by_identity(fields)[0]


def _tag_names(fields: Fields) -> dict[int, str]:
    return _by_identity(fields)[1]


def _by_identity(fields: Fields) -> "tuple[TagTree, dict[int, str], Fields]":
    # Most callers pass a constant: hashing its content would take a tenth of the time.
    stored = _TREES.get(id(fields))
    if stored is None or stored[2] is not fields:
        tags = {name: _tag(name) for name in fields}
        names = {tag: name for name, tag in tags.items()}
        # The character set determines the encoding of text in every data set (PS3.3 C.12.1.1.2).
        tree: dict[int, TagTree | None] = {_CHARACTER_SET: None}
        for name, inner in fields.items():
            tree[tags[name]] = _tag_tree(inner) if inner else None
        stored = tree, names, fields
        if len(_TREES) < _MAXIMUM_TREES:
            _TREES[id(fields)] = stored
    return stored


def _tag(name: str) -> int:
    from pydicom.datadict import tag_for_keyword

    tag = int(name, 16) if name[:1].isdigit() else tag_for_keyword(name)
    if tag is None:
        raise KeyError(name)
    return tag
