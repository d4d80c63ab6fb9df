"""The structure of a data set: where its elements are, within limits (PS3.5 7).

Our own walk, as pydicom builds an object for every element and item it meets, wanted or not,
and has no limits. It reads tags, VRs and lengths, jumps over values that nobody wants, and takes
the odd encodings that pydicom takes; pydicom converts the values of the wanted fields, and never
sees the structure.
"""

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Any, BinaryIO, Final, TypeAlias

from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement, empty_value_for_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

from mammo_core.dicom.limits import (
    MAXIMUM_DEPTH,
    MAXIMUM_ELEMENTS,
    MAXIMUM_FIELD_BYTES,
    MAXIMUM_FIELDS_BYTES,
    MAXIMUM_HEADER_BYTES,
    MAXIMUM_ITEMS,
    MAXIMUM_VALUES,
    header_limit_error,
)
from mammo_core.errors import DicomError

#: Tag → None for a value, or what is wanted of the items of a sequence.
Wanted: TypeAlias = "Mapping[int, Wanted | None]"

_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_CHARACTER_SET: Final = 0x00080005
_VRS: Final = {str(vr).encode(): str(vr) for vr in VR if len(str(vr)) == 2}
_LONG: Final = frozenset(str(vr) for vr in EXPLICIT_VR_LENGTH_32)
#: VRs of values that are no text: their number follows from their bytes.
_BINARY: Final = frozenset(
    ("AT", "FD", "FL", "OB", "OD", "OF", "OL", "OV", "OW", "SL", "SS", "SV", "UL", "UN", "US", "UV")
)
#: Bytes that are searched at a time: few, as a delimiter is mostly near.
_STEP: Final = 2**12
#: Stands for every item that is only jumped over: to make one for each would cost more than that.
_UNWANTED: Final = Dataset()


class Walk:
    """A walk over the data sets of one file; all of them together are held to the limits.

    Args:
        file: The file, open at the start of a data set.
        name: The file, for messages.
        little: Whether it is little endian.
        deflated: Whether it was inflated.
        cut: Whether it was cut off at the limit of bytes.
    """

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        *,
        little: bool = True,
        deflated: bool = False,
        cut: bool = False,
    ) -> None:
        self._file = file
        self._name = name
        self._little = little
        self._deflated = deflated
        self._cut = cut
        order = "<" if little else ">"
        self._implicit_start = Struct(f"{order}HHL").unpack
        self._explicit_start = Struct(f"{order}HH2sH").unpack
        self._long = Struct(f"{order}L").unpack
        #: Offset of the next byte; where a walk ended, of the element that ended it.
        self.place = file.tell()
        self._elements = self._items = self._bytes = self._values = self._searched = 0

    def data_set(self, wanted: Wanted, implicit: bool, until: Callable[[int], bool]) -> Dataset:
        """Walk over a data set up to an element, the end of the file, or an item delimiter.

        Args:
            wanted: The fields to return.
            implicit: Whether the transfer syntax has implicit VR; what is there decides.
            until: Takes a tag; True for the element to stop before.

        Returns:
            The wanted fields that are there, unconverted, text by the file's character set.

        Raises:
            DicomError: The header is over a limit.
            ValueError: Its structure is broken.
            OSError: The disk failed.
        """
        implicit = self._is_implicit(implicit, top=True)
        return self._data_set(wanted, implicit, None, 0, default_encoding, until)

    def _data_set(
        self,
        wanted: Wanted,
        implicit: bool,
        end: int | None,
        depth: int,
        encoding: Any,
        until: Callable[[int], bool] | None = None,
    ) -> Dataset:
        found: dict[BaseTag, DataElement | RawDataElement] = {}
        inherited = encoding
        while end is None or self.place < end:
            start = self.place
            element = self._element(implicit)
            if element is None or element[0] == _ITEM_END:
                break
            tag, vr, length = element
            if until is not None and until(tag):
                self._go_to(start)
                break
            asked = tag in wanted
            inner = wanted[tag] if asked else None
            if length == _UNDEFINED:
                if self._is_sequence(tag, vr):
                    items = self._sequence(inner or {}, implicit, None, depth + 1, encoding)
                    if asked:
                        found[BaseTag(tag)] = DataElement(BaseTag(tag), "SQ", Sequence(items))
                elif asked:
                    raise ValueError("a field of undefined length")
                elif not self._skip_undefined():
                    if depth:
                        raise ValueError("a value without an end")
                    break
            elif not asked:
                self._go_to(self.place + length)
            elif inner is not None and vr in (None, "UN", "SQ"):
                last = self.place + length
                items = self._sequence(inner, implicit, last, depth + 1, encoding)
                self._go_to(last)
                found[BaseTag(tag)] = DataElement(BaseTag(tag), "SQ", Sequence(items))
            else:
                raw = self._field(tag, vr, length, implicit)
                found[BaseTag(tag)] = raw
                if tag == _CHARACTER_SET:
                    encoding = convert_encodings(Dataset({raw.tag: raw}).SpecificCharacterSet)
        if not wanted:
            return _UNWANTED
        data = Dataset(found, parent_encoding=inherited)
        data.set_original_encoding(implicit, self._little, encoding)
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
                    raise ValueError("an element that is cut off")
                return group << 16 | number, vr, self._long(rest)[0]
            if vr is not None or b"AA" <= code <= b"ZZ":
                return group << 16 | number, vr or code.decode("latin-1"), length
            # Some writers go over to implicit VR within a data set.
        group, number, length = self._implicit_start(start)
        return group << 16 | number, None, length

    def _sequence(
        self, wanted: Wanted, implicit: bool, end: int | None, depth: int, encoding: Any
    ) -> list[Dataset]:
        """Walk over the items of a sequence; return them where something of them is wanted."""
        if depth > MAXIMUM_DEPTH:
            raise self._over("sequences within sequences", MAXIMUM_DEPTH)
        items: list[Dataset] = []
        while end is None or self.place < end:
            start = self._read(8)
            if len(start) < 8:
                raise ValueError("a sequence without an end")
            group, number, length = self._implicit_start(start)
            if group << 16 | number == _SEQUENCE_END:
                break
            self._count()
            # Items of an explicit data set may be implicit (PS3.5 6.2.2), not the reverse.
            item_implicit = implicit or (length != 0 and self._is_implicit(implicit, top=False))
            item_end = end if length == _UNDEFINED else self.place + length
            item = self._data_set(wanted, item_implicit, item_end, depth, encoding)
            if wanted:
                self._items += 1
                if self._items > MAXIMUM_ITEMS:
                    raise self._over("items of sequences read", MAXIMUM_ITEMS)
                items.append(item)
        return items

    def _field(self, tag: int, vr: str | None, length: int, implicit: bool) -> RawDataElement:
        """Read the value of a wanted field."""
        if vr == "SQ":
            raise ValueError("a sequence in the place of a value")
        if length > MAXIMUM_FIELD_BYTES:
            raise self._over("bytes of a field", MAXIMUM_FIELD_BYTES, length)
        self._bytes += length
        if self._bytes > MAXIMUM_FIELDS_BYTES:
            raise self._over("bytes of fields read", MAXIMUM_FIELDS_BYTES)
        place = self.place
        value = self._read(length)
        kind = dictionary_VR(tag) if vr in (None, "UN") else vr
        if str(kind)[:2] not in _BINARY:
            self._values += 1 + value.count(b"\\")
            if self._values > MAXIMUM_VALUES:
                raise self._over("values of fields read", MAXIMUM_VALUES, self._values)
        empty: Any = empty_value_for_VR(vr, raw=True)
        return RawDataElement(
            BaseTag(tag), vr, length, value if length else empty, place, implicit, self._little
        )

    def _is_implicit(self, implicit: bool, *, top: bool) -> bool:
        """Look at the first element of a data set: are there two capitals where a VR would be?"""
        start = self.place
        code = self._read(6)[4:]
        self._go_to(start)
        if len(code) < 2 or (implicit and not top):
            return implicit
        return not all(0x40 < letter < 0x5B for letter in code)

    def _is_sequence(self, tag: int, vr: str | None) -> bool:
        """Whether a value of undefined length is a sequence: by VR, dictionary, or content."""
        if vr is not None:
            return vr in ("SQ", "UN")  # PS3.5 6.2.2: UN of undefined length is one.
        try:
            return bool(dictionary_VR(tag) == "SQ")
        except KeyError:
            start = self.place
            peeked = self._read(4)
            self._go_to(start)
            return peeked == self._bytes_of(_ITEM)

    def _skip_undefined(self) -> bool:
        """Go behind a value of undefined length that is no sequence.

        Returns:
            Whether it has an end; if not, the walk is where the value starts.
        """
        start = self.place
        item, last = self._bytes_of(_ITEM), self._bytes_of(_SEQUENCE_END)
        while len(held := self._read(8)) == 8 and held[:4] == item:  # fragments, PS3.5 A.4
            self._count()
            self._go_to(self.place + self._long(held[4:])[0])
        if held[:4] == last:
            return True
        self._go_to(start)  # Not fragments: the delimiter has to be searched for.
        held = b""
        while piece := self._read(_STEP):
            held = held[-3:] + piece
            at = held.find(last)
            self._searched += len(piece) if at < 0 else at
            if self._searched > MAXIMUM_HEADER_BYTES:
                raise self._over("bytes of values without a length", MAXIMUM_HEADER_BYTES)
            if at >= 0:
                self._go_to(self.place - len(held) + at + 8)
                return True
        self._go_to(start)
        return False

    def _bytes_of(self, tag: int) -> bytes:
        order: Any = "little" if self._little else "big"
        return (tag >> 16).to_bytes(2, order) + (tag & 0xFFFF).to_bytes(2, order)

    def _count(self) -> None:
        self._elements += 1
        if self._elements > MAXIMUM_ELEMENTS:
            raise self._over("elements and items", MAXIMUM_ELEMENTS)

    def _over(self, what: str, most: int, received: int | None = None) -> DicomError:
        return header_limit_error(self._name, what, most, received, deflated=self._deflated)

    def _read(self, size: int) -> bytes:
        held = self._file.read(size)
        self.place += len(held)
        if self._cut and len(held) < size:
            raise self._over("bytes once inflated", MAXIMUM_HEADER_BYTES)
        return held

    def _go_to(self, place: int) -> None:
        self._file.seek(place)
        self.place = place
