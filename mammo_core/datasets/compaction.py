"""`mammo store gc --compact`: datasets that grew, written anew without what was excluded.

The id stays: it is that of the set. Records are sorted by id again and put into shards of the
target size; the manifest is replaced last, and the replaced files are left to readers for a day.
"""

import heapq
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from mammo_core.datasets.manifests import Manifest, StoredFile, find, verify_file
from mammo_core.datasets.shards import (
    REPLACED_NOTE,
    read_shard,
    record_id,
    record_image_id,
    write_shard,
)
from mammo_core.datasets.tables import put_table, read_table
from mammo_core.errors import RecordError
from mammo_core.store import Store

_ITEMS = "items.parquet"
_SHARD_MB = 128


def needs_compaction(manifest: Manifest) -> bool:
    """Whether a dataset excludes records, or lists shards of others."""
    shards = manifest.files_like("shard-")
    inside = all(file.key.startswith(f"{manifest.folder}/") for file in shards)
    known = any(file.name == _ITEMS for file in manifest.files)
    return known and (not inside or any(file.excluded for file in shards))


def compact(store: Store, manifest: Manifest) -> Manifest:
    """Write a dataset's records anew, sorted and without the excluded ones.

    Args:
        store: Where it is.
        manifest: The dataset.

    Returns:
        Its new manifest, of the same id.

    Raises:
        RecordError: A shard is damaged, or lacks a record.
        StoreError: The store fails, or somebody else wrote the manifest meanwhile.
    """
    with store.lease(manifest.folder):
        held = store.read(manifest.key)
        current = find(store, manifest.kind, manifest.id)
        if current is None or not needs_compaction(current):
            return manifest
        written = list(_written(store, current))
        shards = {image: file.name for file, images in written for image in images}
        items = read_table(store, current, _ITEMS)
        _check(current, items, shards)
        items["shard"] = items["image_id"].map(shards).fillna("")
        place = f"{current.folder}/compacted"
        files = [file for file, _ in written]
        files.append(put_table(store, place, _ITEMS, items))
        for file in files:
            verify_file(store, file)
        others = [
            file
            for file in current.files
            if file.name != _ITEMS and not file.name.startswith("shard-")
        ]
        ordered = sorted([*files, *others], key=lambda file: file.name)
        made = current.model_copy(update={"files": tuple(ordered)})
        replaced = sorted({f.key for f in current.files} - {f.key for f in made.files})
        note = json.dumps({"keys": replaced}).encode()
        store.write(f"{current.folder}/{REPLACED_NOTE}", note)
        if not store.write_if(made.key, made.to_json().encode(), held):
            raise RecordError(
                f"The manifest {made.key} was changed while its dataset was compacted",
                expected="nobody else to write it",
                received="another manifest",
                hint="run the same command again",
            )
        return made


@dataclass(frozen=True)
class _Group:
    image: str
    records: list[bytes]

    @property
    def size(self) -> int:
        return sum(map(len, self.records))


def _written(store: Store, manifest: Manifest) -> Iterator[tuple[StoredFile, list[str]]]:
    """Write the shards; yields each with the images whose records it holds."""
    target = int(manifest.config.get("shard_mb", _SHARD_MB)) * 2**20
    sources = [read_shard(store, file) for file in manifest.files_like("shard-")]
    records = heapq.merge(*sources, key=record_id)
    groups = (
        _Group(image, list(group)) for image, group in itertools.groupby(records, record_image_id)
    )
    waiting = next(groups, None)
    for index in itertools.count():
        if waiting is None:
            return
        images: list[str] = []

        def fitting(images: list[str] = images) -> Iterator[bytes]:
            nonlocal waiting
            filled = 0
            while waiting is not None and (not filled or filled + waiting.size <= target):
                filled += waiting.size
                images.append(waiting.image)
                yield from waiting.records
                waiting = next(groups, None)

        file = write_shard(store, f"{manifest.folder}/compacted", index, fitting())
        yield file, images


def _check(manifest: Manifest, items: pd.DataFrame, shards: dict[str, str]) -> None:
    wanted = set(items.loc[items["shard"].ne(""), "image_id"])
    if wanted != shards.keys():
        raise RecordError(
            f"The shards of {manifest.folder} do not hold what its table tells",
            expected=f"records of {len(wanted)} images",
            received=f"of {len(shards)}, {len(wanted - shards.keys())} of them missing",
            hint="`mammo store verify` tells which file is damaged",
        )
