"""Shards: TFRecord files, planned before the work and written whole."""

import itertools
import struct
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from mammo_core.datasets.access import masked_crc
from mammo_core.datasets.manifests import StoredFile
from mammo_core.datasets.records import decode
from mammo_core.errors import RecordError
from mammo_core.store import Store
from mammo_core.store.base import file_sha256

_Item = TypeVar("_Item")

#: The folder of an output with notes of the process that makes or changes it.
NOTES = "notes"
#: Names the earlier output that the making of this one takes shards from.
BASE_NOTE = f"{NOTES}/base.json"
#: Names the files that a compaction replaced.
REPLACED_NOTE = f"{NOTES}/replaced.json"


def plan(items: Sequence[_Item], sizes: Sequence[int], target_size: int) -> list[list[_Item]]:
    """Divide items, in order, into shards of about `target_size` bytes.

    Args:
        items: What the records will be made of, sorted by id.
        sizes: The records' sizes (bytes), known beforehand.
        target_size: Bytes of a shard; no shard is empty, a single record may exceed it.
    """
    shards: list[list[_Item]] = []
    filled = 0
    for item, size in zip(items, sizes, strict=True):
        if not shards or filled + size > target_size:
            shards.append([])
            filled = 0
        shards[-1].append(item)
        filled += size
    return shards


def shard_name(index: int) -> str:
    """The name of a shard in its dataset."""
    return f"shard-{index:05d}"


def write_shard(store: Store, folder: str, index: int, records: Iterable[bytes]) -> StoredFile:
    """Write records, in the order given, as one TFRecord file of a dataset.

    The file is made aside and read back (framing, CRCs, count) before it enters the store.
    """
    name = shard_name(index)
    key = f"{folder}/{name}.tfrecord"
    with tempfile.TemporaryDirectory(prefix="mammo-shard-") as aside:
        path = Path(aside) / name
        count = 0
        with path.open("wb") as file:
            for record in records:
                file.write(_framed(record))
                count += 1
        read = sum(1 for _ in read_records(path))
        if read != count:
            raise RecordError(
                f"The shard {key} was not written whole",
                expected=f"{count} records",
                received=f"{read}",
            )
        store.put_file(key, path)
        return StoredFile(
            name=name,
            key=key,
            sha256=file_sha256(path),
            size=path.stat().st_size,
            count=count,
        )


def read_shard(store: Store, file: StoredFile) -> Iterator[bytes]:
    """Yield the records of a stored shard that are part of the output.

    Raises:
        RecordError: When the shard is damaged.
    """
    excluded = frozenset(file.excluded)
    for record in read_records(store.fetch(file.key), file.key):
        if not excluded or record_id(record) not in excluded:
            yield record


def image_of(record: bytes) -> str:
    """Return the id of the image that an image or patch record belongs to."""
    name: bytes = decode(record)["image_id"][0]
    return name.decode()


def record_id(record: bytes) -> str:
    """Return the id of an image or patch record."""
    fields = decode(record)
    name: bytes = (fields.get("patch_id") or fields["image_id"])[0]
    return name.decode()


def read_records(path: Path, name: str = "") -> Iterator[bytes]:
    """Yield the records of a TFRecord file; RecordError names the file when it is damaged.

    Args:
        path: The file.
        name: What messages call it; default its name.
    """
    with path.open("rb") as file:
        for number in itertools.count():
            head = file.read(_HEAD.size)
            if not head:
                return
            try:
                if len(head) < _HEAD.size:
                    raise ValueError(_CUT)
                length, told = _HEAD.unpack(head)
                if masked_crc(head[:8]) != told:
                    raise ValueError("the CRC-32C of its length is wrong")
                record, tail = file.read(length), file.read(_TAIL.size)
                if len(tail) < _TAIL.size:
                    raise ValueError(_CUT)
                if masked_crc(record) != _TAIL.unpack(tail)[0]:
                    raise ValueError("the CRC-32C of its data is wrong")
            except ValueError as error:
                raise RecordError(
                    f"The shard {name or path.name} is damaged at record {number}",
                    expected="a whole TFRecord with matching CRC-32C",
                    received=str(error),
                    hint="`mammo store verify` tells what else is; remove the folder of the "
                    "output that made it and run again",
                ) from error
            yield record


# TFRecord framing (tensorflow/core/lib/io/record_writer.h): length, masked CRC of the length,
# data, masked CRC of the data; all little endian.
_HEAD = struct.Struct("<QI")
_TAIL = struct.Struct("<I")
_CUT = "the file ends inside it"


def _framed(record: bytes) -> bytes:
    length = struct.pack("<Q", len(record))
    return b"".join(
        [length, _TAIL.pack(masked_crc(length)), record, _TAIL.pack(masked_crc(record))]
    )
