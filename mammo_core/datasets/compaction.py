"""`mammo store gc --compact`: rewrite datasets that grew, without their excluded records.

The id stays the same, because the records do. Records are sorted by id again and written to shards
of the target size, under keys of their own. The manifest is replaced last, if it is still the one
that was read (If-Match), and the replaced files are kept for a day for active readers.
"""

import heapq
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

from mammo_core.datasets.manifests import Manifest, StoredFile, find, verify_file
from mammo_core.datasets.shard_tables import with_shard_table
from mammo_core.datasets.shards import (
    read_shard,
    record_id,
    record_image_id,
    replaced_note,
    write_shard,
)
from mammo_core.datasets.tables import put_table, read_table
from mammo_core.documents import MAXIMUM_JSON_BYTES
from mammo_core.errors import RecordError
from mammo_core.store import Store

_ITEMS = "items.parquet"
_SHARD_MB = 128


def needs_compaction(manifest: Manifest) -> bool:
    """Whether a dataset excludes records, or lists shards of other datasets."""
    shards = manifest.files_like("shard-")
    only_own_shards = all(file.key.startswith(f"{manifest.folder}/") for file in shards)
    has_items = any(file.name == _ITEMS for file in manifest.files)
    return has_items and (not only_own_shards or any(file.excluded for file in shards))


def compact(
    store: Store, manifest: Manifest, replacing: Callable[[str, bytes, bytes], None] | None = None
) -> Manifest:
    """Rewrite the records of a dataset, sorted and without the excluded ones.

    Args:
        store: The store of the dataset.
        manifest: The dataset.
        replacing: Called before the manifest is replaced: the folder of the dataset, its manifest
            as it is stored, and the new one.

    Returns:
        Its new manifest, with the same id.

    Raises:
        LeaseLostError: Another process has taken over the lease of the dataset.
        RecordError: A shard is damaged or lacks a record, or another process replaced the manifest
            in the meantime.
        StoreError: The store fails.
    """
    with store.lease(manifest.folder) as lease:
        old_data = store.read(manifest.key, MAXIMUM_JSON_BYTES)
        current = find(store, manifest.kind, manifest.id)
        if current is None or not needs_compaction(current):
            return manifest
        folder = f"{current.folder}/{lease.attempt}"
        shards = list(_write_shards(store, current, folder))
        shard_of_image = {image: file.name for file, images in shards for image in images}
        items = read_table(store, current, _ITEMS)
        _require_all_records(current, items, shard_of_image)
        items["shard"] = items["image_id"].map(shard_of_image).fillna("")
        files = [file for file, _ in shards]
        files.append(put_table(store, folder, _ITEMS, items))
        for file in files:
            verify_file(store, file)
        other_files = [
            file
            for file in current.files
            if file.name != _ITEMS and not file.name.startswith("shard-")
        ]
        ordered = sorted([*files, *other_files], key=lambda file: file.name)
        compacted = with_shard_table(store, current.model_copy(update={"files": tuple(ordered)}))
        replaced = sorted({f.key for f in current.files} - {f.key for f in compacted.files})
        note = json.dumps({"keys": replaced}).encode()
        note_key = f"{current.folder}/{replaced_note(lease.attempt)}"
        store.write(note_key, note)
        lease.check()
        new_data = compacted.to_json().encode()
        if replacing is not None:
            replacing(compacted.folder, old_data, new_data)
        if not store.write_if(compacted.key, new_data, old_data):
            store.delete(note_key)
            raise RecordError(
                f"The manifest {compacted.key} was changed while its dataset was compacted",
                expected="no other process that writes it",
                received="another manifest",
                hint="run the same command again",
            )
        return compacted


@dataclass(frozen=True)
class _ImageRecords:
    """The records of one image, which stay in one shard."""

    image_id: str
    records: list[bytes]

    @property
    def size(self) -> int:
        return sum(map(len, self.records))


def _write_shards(
    store: Store, manifest: Manifest, folder: str
) -> Iterator[tuple[StoredFile, list[str]]]:
    """Write the shards to a folder; yield each with the ids of the images whose records it has."""
    target = int(manifest.config.get("shard_mb", _SHARD_MB)) * 2**20
    sources = [read_shard(store, file) for file in manifest.files_like("shard-")]
    records = heapq.merge(*sources, key=record_id)
    images = (
        _ImageRecords(image_id, list(group))
        for image_id, group in itertools.groupby(records, record_image_id)
    )
    following = next(images, None)
    for index in itertools.count():
        if following is None:
            return
        image_ids: list[str] = []

        def one_shard(image_ids: list[str] = image_ids) -> Iterator[bytes]:
            nonlocal following
            size = 0
            while following is not None and (not size or size + following.size <= target):
                size += following.size
                image_ids.append(following.image_id)
                yield from following.records
                following = next(images, None)

        file = write_shard(store, folder, index, one_shard())
        yield file, image_ids


def _require_all_records(
    manifest: Manifest, items: pd.DataFrame, shard_of_image: dict[str, str]
) -> None:
    expected = set(items.loc[items["shard"].ne(""), "image_id"])
    if expected != shard_of_image.keys():
        missing = len(expected - shard_of_image.keys())
        raise RecordError(
            f"The shards of {manifest.folder} do not match its table of images",
            expected=f"records of {len(expected)} images",
            received=f"records of {len(shard_of_image)} images; {missing} are missing",
            hint="`mammo store verify` lists the damaged files",
        )
