"""Single records of a TFRecord file, wherever they lie in it, with little copying.

A record is found by its offset and its pixels by a walk over its fields, so an epoch can take
records in any order, several at a time, and memory holds no more than the batches in the making.
The fields are those of `tf.train.Example` (tensorflow/core/example/{example,feature}.proto) in
the protocol buffers' wire format.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import google_crc32c
import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError

_HEAD = struct.Struct("<QI")
_TAIL = struct.Struct("<I")
#: An id is among the first bytes of our records: names are sorted, and pixels come late.
_START = 1024
#: Tags of wire type 2 (length, bytes), by field number; and of an integer of field 1.
_FIRST, _SECOND, _INTEGERS, _INTEGER = 0x0A, 0x12, 0x1A, 0x08


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record lies.

    Attributes:
        path: The file.
        key: What errors call it.
        number: Number of the record in it, from 0.
        offset: First byte of the record.
        length: Its bytes.
    """

    path: str
    key: str
    number: int
    offset: int
    length: int


def places(path: str, key: str, id_field: str) -> Iterator[tuple[str, Place]]:
    """Yield the id and the place of every record of a file; their pixels are not read.

    Args:
        path: The file.
        key: What errors call it.
        id_field: Field that holds a record's id.

    Raises:
        RecordError: The file is no whole TFRecord file of such records.
    """
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a plain file, unbuffered
        size, at, number = os.fstat(file.fileno()).st_size, 0, 0
        while at < size:
            head = os.pread(file.fileno(), _HEAD.size, at)
            place = Place(path, key, number, at + _HEAD.size, 0)
            if len(head) < _HEAD.size:
                raise _damaged(place, "the file ends inside it")
            length, told = _HEAD.unpack(head)
            if masked_crc(head[:8]) != told:
                raise _damaged(place, "the CRC-32C of its length is wrong")
            place = Place(path, key, number, place.offset, length)
            if place.offset + length + _TAIL.size > size:
                raise _damaged(place, "the file ends inside it")
            yield _id(file.fileno(), place, id_field), place
            at, number = place.offset + length + _TAIL.size, number + 1


def pixels_at(place: Place) -> npt.NDArray[np.uint16]:
    """Read the pixels of a record.

    Args:
        place: Where it lies.

    Returns:
        `(h, w) uint16, [0, 65535]`, not to be changed.

    Raises:
        RecordError: The record is damaged, or has no pixels.
    """
    with open(place.path, "rb", buffering=0) as file:  # noqa: PTH123
        data = os.pread(file.fileno(), place.length, place.offset)
        tail = os.pread(file.fileno(), _TAIL.size, place.offset + place.length)
    if len(data) < place.length or len(tail) < _TAIL.size:
        raise _damaged(place, "the file ends inside it")
    if masked_crc(data) != _TAIL.unpack(tail)[0]:
        raise _damaged(place, "the CRC-32C of its data is wrong")
    found = {}
    try:
        for name, start in _fields(data):
            if name in (b"pixels", b"height", b"width"):
                found[name] = start
        start, end = _bytes(data, found[b"pixels"])
        shape = (_integer(data, found[b"height"]), _integer(data, found[b"width"]))
        return np.frombuffer(data, "<u2", (end - start) // 2, start).reshape(shape)
    except (KeyError, IndexError, ValueError) as error:
        raise _damaged(place, "it has no pixels of its height and width") from error


def masked_crc(data: bytes) -> int:
    """Return the CRC-32C of bytes as TFRecord files hold it."""
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _id(descriptor: int, place: Place, id_field: str) -> str:
    wanted = id_field.encode()
    for size in (min(place.length, _START), place.length):
        data = os.pread(descriptor, size, place.offset)
        try:
            for name, at in _fields(data):
                if name == wanted:
                    start, end = _bytes(data, at)
                    if end <= len(data):
                        return data[start:end].decode()
        except (IndexError, ValueError):
            continue  # it is further on
    raise _damaged(place, f"it has no {id_field}")


def _fields(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the name of each feature and where its message begins."""
    size, at = _length(data, 0, _FIRST)  # Example.features
    end = at + size
    while at < end:
        size, at = _length(data, at, _FIRST)  # Features.feature, an entry of the map
        after = at + size
        size, at = _length(data, at, _FIRST)
        name = data[at : at + size]
        yield name, _length(data, at + size, _SECOND)[1]
        at = after


def _bytes(data: bytes, at: int) -> tuple[int, int]:
    """Where the first value of a bytes feature begins and ends."""
    size, at = _length(data, _length(data, at, _FIRST)[1], _FIRST)
    return at, at + size


def _integer(data: bytes, at: int) -> int:
    """The first value of an integer feature, packed or not."""
    at = _length(data, at, _INTEGERS)[1]
    if data[at] == _INTEGER:
        return _varint(data, at + 1)[0]
    return _varint(data, _length(data, at, _FIRST)[1])[0]


def _length(data: bytes, at: int, tag: int) -> tuple[int, int]:
    if data[at] != tag:
        raise ValueError("another field")
    return _varint(data, at + 1)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def _damaged(place: Place, received: str) -> RecordError:
    return RecordError(
        f"The shard {place.key} is damaged at record {place.number}",
        expected="a whole TFRecord with matching CRC-32C",
        received=received,
        hint="remove the dataset's folder and run the step that makes it again",
    )
