"""Single records of a TFRecord file, in any order and with little copying.

A record is addressed by its offset, and its pixels are located by walking over its fields. So an
epoch can read records in any order, several in parallel, and memory holds only the batches being
built. The fields are those of `tf.train.Example` (tensorflow/core/example/{example,feature}.proto)
in the wire format of protocol buffers.
"""

import os
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from mammo_core.datasets.tfrecord import (
    RecordLocation,
    damaged_record_error,
    read_record,
    record_locations,
)

#: The id is within the first bytes of our records: fields are sorted by name, pixels come late.
_ID_BYTES = 1024
#: Tags of wire type 2 (length, bytes), by field number; and of an integer of field 1.
_FIRST, _SECOND, _INTEGERS, _INTEGER = 0x0A, 0x12, 0x1A, 0x08


def locate_records(path: str, name: str, id_field: str) -> Iterator[tuple[str, RecordLocation]]:
    """Yield the id and the location of every record of a file without reading the pixels.

    Args:
        path: The file.
        name: How errors call the file.
        id_field: The field that holds the id of a record.

    Raises:
        RecordError: The file is not a complete TFRecord file of such records.
    """
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a plain file, unbuffered
        for location in record_locations(file.fileno(), path, name):
            yield _read_id(file.fileno(), location, id_field), location


def read_pixels(location: RecordLocation) -> npt.NDArray[np.uint16]:
    """Read the pixels of a record.

    Args:
        location: Where the record is.

    Returns:
        `(h, w) uint16, [0, 65535]`, read-only.

    Raises:
        RecordError: The record is damaged, or has no pixels.
    """
    with open(location.path, "rb", buffering=0) as file:  # noqa: PTH123
        data = read_record(file.fileno(), location)
    offsets = {}
    try:
        for name, offset in _fields(data):
            if name in (b"pixels", b"height", b"width"):
                offsets[name] = offset
        start, end = _byte_range(data, offsets[b"pixels"])
        shape = (_integer(data, offsets[b"height"]), _integer(data, offsets[b"width"]))
        return np.frombuffer(data, "<u2", (end - start) // 2, start).reshape(shape)
    except (KeyError, IndexError, ValueError) as error:
        raise damaged_record_error(
            location.name, location.number, "it has no pixels of its height and width"
        ) from error


def _read_id(descriptor: int, location: RecordLocation, id_field: str) -> str:
    """Read the id of a record, from its first bytes if it is there."""
    field = id_field.encode()
    for size in (min(location.length, _ID_BYTES), location.length):
        data = os.pread(descriptor, size, location.offset)
        try:
            for name, offset in _fields(data):
                if name == field:
                    start, end = _byte_range(data, offset)
                    if end <= len(data):
                        return data[start:end].decode()
        except (IndexError, ValueError):
            continue  # beyond the bytes read
    raise damaged_record_error(location.name, location.number, f"it has no {id_field}")


def _fields(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the name of each feature and the offset of its message."""
    size, at = _length(data, 0, _FIRST)  # Example.features
    end = at + size
    while at < end:
        size, at = _length(data, at, _FIRST)  # Features.feature, an entry of the map
        after = at + size
        size, at = _length(data, at, _FIRST)
        name = data[at : at + size]
        yield name, _length(data, at + size, _SECOND)[1]
        at = after


def _byte_range(data: bytes, at: int) -> tuple[int, int]:
    """Return the start and end of the first value of a bytes feature."""
    size, at = _length(data, _length(data, at, _FIRST)[1], _FIRST)
    return at, at + size


def _integer(data: bytes, at: int) -> int:
    """Return the first value of an integer feature, packed or not."""
    at = _length(data, at, _INTEGERS)[1]
    if data[at] == _INTEGER:
        return _varint(data, at + 1)[0]
    return _varint(data, _length(data, at, _FIRST)[1])[0]


def _length(data: bytes, at: int, tag: int) -> tuple[int, int]:
    """Return the length of a field with this tag, and the offset of its content."""
    if data[at] != tag:
        raise ValueError("another field")
    return _varint(data, at + 1)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a variable-length integer and the offset after it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
