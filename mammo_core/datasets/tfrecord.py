"""The framing of TFRecord files, written and read without TensorFlow.

A record is its length, the masked CRC-32C of the length, its data and the masked CRC-32C of the
data, all little endian (tensorflow/core/lib/io/record_writer.h).
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from mammo_core.errors import RecordError

_HEADER = struct.Struct("<QI")  # length, masked CRC of the length
_FOOTER = struct.Struct("<I")  # masked CRC of the data
_TRUNCATED = "the file ends inside it"


@dataclass(frozen=True, slots=True)
class RecordLocation:
    """The position of a record in a file.

    Attributes:
        path: The file.
        name: How errors call the file.
        number: Number of the record in the file, from 0.
        offset: Position of its first byte.
        length: Its size in bytes.
    """

    path: str
    name: str
    number: int
    offset: int
    length: int


def frame_record(data: bytes) -> bytes:
    """Return a record as a TFRecord file stores it."""
    length = struct.pack("<Q", len(data))
    return b"".join(
        [length, _FOOTER.pack(masked_crc(length)), data, _FOOTER.pack(masked_crc(data))]
    )


def read_records(path: Path, name: str = "") -> Iterator[bytes]:
    """Yield the records of a TFRecord file.

    Args:
        path: The file.
        name: How errors call the file; by default its own name.

    Raises:
        RecordError: The file is damaged.
    """
    with path.open("rb", buffering=0) as file:
        for location in record_locations(file.fileno(), str(path), name or path.name):
            yield read_record(file.fileno(), location)


def record_locations(descriptor: int, path: str, name: str) -> Iterator[RecordLocation]:
    """Yield the location of every record of a file without reading the records.

    Args:
        descriptor: The open file.
        path: Its path.
        name: How errors call the file.

    Raises:
        RecordError: The file is damaged.
    """
    size, start, number = os.fstat(descriptor).st_size, 0, 0
    while start < size:
        header = os.pread(descriptor, _HEADER.size, start)
        offset = start + _HEADER.size
        if len(header) < _HEADER.size:
            raise damaged_record_error(name, number, _TRUNCATED)
        length, crc = _HEADER.unpack(header)
        if masked_crc(header[:8]) != crc:
            raise damaged_record_error(name, number, "the CRC-32C of its length is wrong")
        start = offset + length + _FOOTER.size
        if start > size:
            raise damaged_record_error(name, number, _TRUNCATED)
        yield RecordLocation(path, name, number, offset, length)
        number += 1


def read_record(descriptor: int, location: RecordLocation) -> bytes:
    """Return the data of a record.

    Args:
        descriptor: The open file.
        location: Where the record is.

    Raises:
        RecordError: The record is damaged.
    """
    data = os.pread(descriptor, location.length, location.offset)
    footer = os.pread(descriptor, _FOOTER.size, location.offset + location.length)
    if len(data) < location.length or len(footer) < _FOOTER.size:
        raise damaged_record_error(location.name, location.number, _TRUNCATED)
    if masked_crc(data) != _FOOTER.unpack(footer)[0]:
        raise damaged_record_error(
            location.name, location.number, "the CRC-32C of its data is wrong"
        )
    return data


def masked_crc(data: bytes) -> int:
    """Return the CRC-32C of some bytes as TFRecord files store it."""
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def damaged_record_error(name: str, number: int, received: str) -> RecordError:
    """Return the error for a record that cannot be read.

    Args:
        name: The file.
        number: Number of the record in the file, from 0.
        received: What is wrong with the record.
    """
    return RecordError(
        f"The shard {name} is damaged at record {number}",
        expected="a complete TFRecord with matching CRC-32C",
        received=received,
        hint="`mammo store verify` lists every damaged file; delete the folder of the output "
        "and run its step again",
    )
