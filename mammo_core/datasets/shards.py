"""Shards: the TFRecord files of a dataset, planned before the work and published whole."""

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from mammo_core.datasets.manifests import StoredFile
from mammo_core.datasets.records import decode
from mammo_core.datasets.tfrecord import frame_record, read_records
from mammo_core.errors import RecordError
from mammo_core.store import Store
from mammo_core.store.base import file_sha256

_Item = TypeVar("_Item")

#: The folder of an output for notes of the process that writes it.
NOTES = "notes"
#: Names the earlier dataset whose shards this one reuses.
BASE_NOTE = f"{NOTES}/base.json"
_REPLACED_NOTE = re.compile(rf".*/{NOTES}/replaced-[^/]+\.json")


def replaced_note(attempt: str) -> str:
    """Return the name of the note that names the files that a compaction replaced."""
    return f"{NOTES}/replaced-{attempt}.json"


def is_replaced_note(key: str) -> bool:
    """Whether a key is that of a `replaced_note`."""
    return _REPLACED_NOTE.fullmatch(key) is not None


def plan(items: Sequence[_Item], sizes: Sequence[int], target_size: int) -> list[list[_Item]]:
    """Divide items, in order, into shards of about `target_size` bytes.

    Args:
        items: The items that records will be made from, sorted by id.
        sizes: Sizes of the records (bytes), known in advance.
        target_size: Bytes of a shard. No shard is empty; a single record may exceed the target.
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
    """Return the name of a shard in its dataset."""
    return f"shard-{index:05d}"


def write_shard(store: Store, folder: str, index: int, records: Iterable[bytes]) -> StoredFile:
    """Write records, in the order given, as one TFRecord file of a dataset.

    The file is written to a temporary folder and read back (framing, CRCs, count) before it
    enters the store.

    Args:
        store: The store of the dataset.
        folder: Folder for the file, of this attempt alone.
        index: Number of the shard.
        records: Serialized records.

    Raises:
        RecordError: The file that was written does not contain every record.
    """
    name = shard_name(index)
    key = f"{folder}/{name}.tfrecord"
    with tempfile.TemporaryDirectory(prefix="mammo-shard-") as scratch:
        path = Path(scratch) / name
        count = 0
        with path.open("wb") as file:
            for record in records:
                file.write(frame_record(record))
                count += 1
        read = sum(1 for _ in read_records(path))
        if read != count:
            raise RecordError(
                f"The shard {key} was not written completely",
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
    """Yield the records of a stored shard, without those that the manifest excludes.

    Raises:
        RecordError: The shard is damaged.
    """
    excluded = frozenset(file.excluded)
    for record in read_records(store.fetch(file.key), file.key):
        if not excluded or record_id(record) not in excluded:
            yield record


def record_image_id(record: bytes) -> str:
    """Return the id of the image that an image or patch record belongs to."""
    image_id: bytes = decode(record)["image_id"][0]
    return image_id.decode()


def record_id(record: bytes) -> str:
    """Return the id of an image or patch record."""
    fields = decode(record)
    identity: bytes = (fields.get("patch_id") or fields["image_id"])[0]
    return identity.decode()
