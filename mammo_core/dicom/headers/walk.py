"""The structure of a data set: the positions of its elements, within limits (PS3.5 7).

pydicom has no limits and creates an object for every element and item of a file. This walk reads
tags, VRs and lengths, skips the values that are not requested, and accepts the irregular
encodings that pydicom accepts. pydicom only converts the values of the requested fields.
"""

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Any, BinaryIO, Final, TypeAlias

from pydicom.charset import convert_encodings, default_encoding, python_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement, empty_value_for_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR
from pydicom.values import convert_value

from mammo_core.dicom.headers.limits import (
    MAXIMUM_DEPTH,
    MAXIMUM_ELEMENTS,
    MAXIMUM_FIELD_BYTES,
    MAXIMUM_FIELDS_BYTES,
    MAXIMUM_HEADER_BYTES,
    MAXIMUM_ITEMS,
    MAXIMUM_TEXT_BYTES,
    MAXIMUM_VALUES,
    header_limit_error,
)
from mammo_core.errors import DicomError

#: Tag → None for a value, or the fields of the items of a sequence.
TagTree: TypeAlias = "Mapping[int, TagTree | None]"

_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_CHARACTER_SET: Final = 0x00080005
_VRS: Final = {str(vr).encode(): str(vr) for vr in VR if len(str(vr)) == 2}
_LONG: Final = frozenset(str(vr) for vr in EXPLICIT_VR_LENGTH_32)
#: VRs of binary values, whose number follows from their size.
_BINARY: Final = frozenset(
    ("AT", "FD", "FL", "OB", "OD", "OF", "OL", "OV", "OW", "SL", "SS", "SV", "UL", "UN", "US", "UV")
)
#: VRs of values that depend on nothing but their bytes and the character set.
_PLAIN: Final = frozenset(_VRS.values()) - {"SQ", "UN"}
#: LUT Descriptors, whose first value pydicom repairs.
_TABLE_DESCRIPTORS: Final = frozenset((0x00281101, 0x00281102, 0x00281103, 0x00283002))
#: What divides a text for pydicom: values, components and groups of names, escape sequences.
_SEPARATORS: Final = (b"\\", b"^", b"=", b"\x1b")
#: The codecs of DICOM. pydicom accepts any codec of Python, and some are slow on hostile text.
_CODECS: Final = frozenset(python_encoding.values())
#: Bytes that are searched at a time: few, because a delimiter is usually near.
_SEARCH_BYTES: Final = 2**12
#: Used for every skipped item: creating a data set costs more than skipping the item.
_SKIPPED: Final = Dataset()


class Walk:
    """A walk over the data sets of one file; the limits apply to all of them together.

    Args:
        file: The open file, at the start of a data set.
        name: The file, for messages.
        little_endian: Whether the file is little endian.
        deflated: Whether the data set was deflated.
        truncated: Whether the data set was truncated at the limit of bytes.
    """

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        *,
        little_endian: bool = True,
        deflated: bool = False,
        truncated: bool = False,
    ) -> None:
        self._file = file
        self._name = name
        self._little_endian = little_endian
        self._deflated = deflated
        self._truncated = truncated
        order = "<" if little_endian else ">"
        self._implicit_start = Struct(f"{order}HHL").unpack
        self._explicit_start = Struct(f"{order}HH2sH").unpack
        self._long = Struct(f"{order}L").unpack
        #: Offset of the next byte or, after a walk, of the element that ended it.
        self.position = file.tell()
        self._elements = self._items = self._bytes = self._values = self._searched = 0
        self._text = 0

    def data_set(
        self, fields: TagTree, implicit: bool, stop_before: Callable[[int], bool]
    ) -> Dataset:
        """Walk over a data set to an element, the end of the file, or an item delimiter.

        Args:
            fields: The fields to return.
            implicit: Whether the transfer syntax has implicit VR; the content takes precedence.
            stop_before: Returns True for the tag of the element to stop before.

        Returns:
            The requested fields that exist, unconverted, with the character set of the file.

        Raises:
            DicomError: The header is over a limit.
            ValueError: The structure is damaged.
            OSError: The disk failed.
        """
        implicit = self._is_implicit(implicit, top=True)
        return self._data_set(fields, implicit, None, 0, default_encoding, stop_before)

    def _data_set(
        self,
        fields: TagTree,
        implicit: bool,
        end: int | None,
        depth: int,
        encoding: Any,
        stop_before: Callable[[int], bool] | None = None,
    ) -> Dataset:
        elements: dict[BaseTag, DataElement | RawDataElement] = {}
        inherited = encoding
        while end is None or self.position < end:
            start = self.position
            element = self._element(implicit)
            if element is None or element[0] == _ITEM_END:
                break
            tag, vr, length = element
            if stop_before is not None and stop_before(tag):
                self._go_to(start)
                break
            requested = tag in fields
            inner = fields[tag] if requested else None
            if length == _UNDEFINED:
                if self._is_sequence(tag, vr):
                    items = self._sequence(inner or {}, implicit, None, depth + 1, encoding)
                    if requested:
                        elements[BaseTag(tag)] = DataElement(BaseTag(tag), "SQ", Sequence(items))
                elif requested:
                    raise ValueError("a field of undefined length")
                elif not self._skip_undefined():
                    if depth:
                        raise ValueError("a value without an end")
                    break
            elif not requested:
                self._go_to(self.position + length)
            elif inner is not None and vr in (None, "UN", "SQ"):
                last = self.position + length
                items = self._sequence(inner, implicit, last, depth + 1, encoding)
                self._go_to(last)
                elements[BaseTag(tag)] = DataElement(BaseTag(tag), "SQ", Sequence(items))
            else:
                raw = self._field(tag, vr, length, implicit)
                elements[BaseTag(tag)] = raw
                if tag == _CHARACTER_SET:
                    encoding = _encodings(Dataset({raw.tag: raw}).SpecificCharacterSet)
        if not fields:
            return _SKIPPED
        data = Dataset(elements, parent_encoding=inherited)
        data.set_original_encoding(implicit, self._little_endian, encoding)
        return data

    def _element(self, implicit: bool) -> tuple[int, str | None, int] | None:
        """Read tag, VR (None where it is implicit) and length; None at the end of the file."""
        start = self._read(8)
        if len(start) < 8:
            return None
        self._count()
        if not implicit:
            group, number, code, length = self._explicit_start(start)
            vr = _VRS.get(code)
            if vr in _LONG:
                rest = self._read(4)
                if len(rest) < 4:
                    raise ValueError("a truncated element")
                return group << 16 | number, vr, self._long(rest)[0]
            if vr is not None or b"AA" <= code <= b"ZZ":
                return group << 16 | number, vr or code.decode("latin-1"), length
            # Some writers switch to implicit VR within a data set.
        group, number, length = self._implicit_start(start)
        return group << 16 | number, None, length

    def _sequence(
        self, fields: TagTree, implicit: bool, end: int | None, depth: int, encoding: Any
    ) -> list[Dataset]:
        """Walk over the items of a sequence; return them if any of their fields is requested."""
        if depth > MAXIMUM_DEPTH:
            raise self._limit_error("nested sequences", MAXIMUM_DEPTH)
        items: list[Dataset] = []
        while end is None or self.position < end:
            start = self._read(8)
            if len(start) < 8:
                raise ValueError("a sequence without an end")
            group, number, length = self._implicit_start(start)
            if group << 16 | number == _SEQUENCE_END:
                break
            self._count()
            # Items of an explicit data set may be implicit (PS3.5 6.2.2), not the reverse.
            item_implicit = implicit or (length != 0 and self._is_implicit(implicit, top=False))
            item_end = end if length == _UNDEFINED else self.position + length
            item = self._data_set(fields, item_implicit, item_end, depth, encoding)
            if fields:
                self._items += 1
                if self._items > MAXIMUM_ITEMS:
                    raise self._limit_error("items of sequences read", MAXIMUM_ITEMS)
                items.append(item)
        return items

    def _field(self, tag: int, vr: str | None, length: int, implicit: bool) -> RawDataElement:
        """Read the value of a requested field."""
        if vr == "SQ":
            raise ValueError("a sequence instead of a value")
        if length > MAXIMUM_FIELD_BYTES:
            raise self._limit_error("bytes of a field", MAXIMUM_FIELD_BYTES, length)
        self._bytes += length
        if self._bytes > MAXIMUM_FIELDS_BYTES:
            raise self._limit_error("bytes of fields read", MAXIMUM_FIELDS_BYTES)
        start = self.position
        value = self._read(length)
        kind = dictionary_VR(tag) if vr in (None, "UN") else vr
        if kind == "AT":
            self._values += length // 4
        elif str(kind)[:2] not in _BINARY:
            self._text += length
            self._values += 1 + sum(map(value.count, _SEPARATORS))
        if self._values > MAXIMUM_VALUES:
            raise self._limit_error("values of fields read", MAXIMUM_VALUES, self._values)
        if self._text > MAXIMUM_TEXT_BYTES:
            raise self._limit_error("bytes of text fields read", MAXIMUM_TEXT_BYTES)
        empty: Any = empty_value_for_VR(vr, raw=True)
        return RawDataElement(
            BaseTag(tag),
            vr,
            length,
            value if length else empty,
            start,
            implicit,
            self._little_endian,
        )

    def _is_implicit(self, implicit: bool, *, top: bool) -> bool:
        """Return whether the first element of a data set lacks the two capitals of a VR."""
        start = self.position
        code = self._read(6)[4:]
        self._go_to(start)
        if len(code) < 2 or (implicit and not top):
            return implicit
        return not all(0x40 < letter < 0x5B for letter in code)

    def _is_sequence(self, tag: int, vr: str | None) -> bool:
        """Return whether a value of undefined length is a sequence, by VR or content."""
        if vr is not None:
            return vr in ("SQ", "UN")  # PS3.5 6.2.2: UN of undefined length is a sequence
        try:
            return bool(dictionary_VR(tag) == "SQ")
        except KeyError:
            start = self.position
            peeked = self._read(4)
            self._go_to(start)
            return peeked == self._bytes_of(_ITEM)

    def _skip_undefined(self) -> bool:
        """Skip a value of undefined length that is not a sequence.

        Returns:
            Whether it has an end; if not, the walk is back at the start of the value.
        """
        start = self.position
        item, last = self._bytes_of(_ITEM), self._bytes_of(_SEQUENCE_END)
        while len(header := self._read(8)) == 8 and header[:4] == item:  # fragments, PS3.5 A.4
            self._count()
            self._go_to(self.position + self._long(header[4:])[0])
        if header[:4] == last:
            return True
        self._go_to(start)  # not fragments: search for the delimiter
        window = b""
        while piece := self._read(_SEARCH_BYTES):
            window = window[-3:] + piece
            at = window.find(last)
            self._searched += len(piece) if at < 0 else at
            if self._searched > MAXIMUM_HEADER_BYTES:
                raise self._limit_error("bytes of values of undefined length", MAXIMUM_HEADER_BYTES)
            if at >= 0:
                self._go_to(self.position - len(window) + at + 8)
                return True
        self._go_to(start)
        return False

    def _bytes_of(self, tag: int) -> bytes:
        order: Any = "little" if self._little_endian else "big"
        return (tag >> 16).to_bytes(2, order) + (tag & 0xFFFF).to_bytes(2, order)

    def _count(self) -> None:
        self._elements += 1
        if self._elements > MAXIMUM_ELEMENTS:
            raise self._limit_error("elements and items", MAXIMUM_ELEMENTS)

    def _limit_error(self, what: str, limit: int, received: int | None = None) -> DicomError:
        return header_limit_error(self._name, what, limit, received, deflated=self._deflated)

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.position += len(data)
        if self._truncated and len(data) < size:
            raise self._limit_error("bytes after inflation", MAXIMUM_HEADER_BYTES)
        return data

    def _go_to(self, position: int) -> None:
        self._file.seek(position)
        self.position = position


def element_value(data: Dataset, element: DataElement | RawDataElement) -> Any:
    """Return the value of an element of a data set that a walk returned.

    Reading it from the data set gives the same, and takes three times as long.

    Args:
        data: The data set.
        element: One of its elements.

    Raises:
        Exception: pydicom cannot convert the value.
    """
    if not isinstance(element, RawDataElement):
        return element.value
    tag = int(element.tag)
    try:
        kind = dictionary_VR(tag) if element.VR is None else element.VR
    except KeyError:
        kind = "UN"
    if kind not in _PLAIN or tag == _CHARACTER_SET or tag in _TABLE_DESCRIPTORS:
        return data[element.tag].value
    return convert_value(kind, element, data.original_character_set)


def _encodings(character_sets: Any) -> Any:
    """Return the Python codecs of Specific Character Set (0008,0005), or the default."""
    encodings = convert_encodings(character_sets)
    return encodings if _CODECS.issuperset(encodings) else default_encoding
