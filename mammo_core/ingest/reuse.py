"""Reuse the records of an earlier dataset with the same settings: only new images cost work.

The new manifest lists the shards of the earlier dataset and the new ones. Records whose source
was removed or changed stay in the old shards and are listed as excluded. The id is that of the
same dataset built from nothing: it depends on the sources alone.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mammo_core.datasets import Manifest, StoredFile, content_id, find
from mammo_core.datasets.kinds import Kind
from mammo_core.datasets.manifests import read_manifest
from mammo_core.datasets.shards import BASE_NOTE
from mammo_core.datasets.tables import read_table
from mammo_core.errors import MammoError
from mammo_core.ingest.kinds import dataset_facts
from mammo_core.ingest.planned_shards import FinishedShard
from mammo_core.store import MAXIMUM_NOTE_BYTES, Store, parse_object, read_object

#: The table of the images: the digest of the source, the shard with the records (empty without
#: records), and the rows of the rejects table (JSON).
ITEMS = "items.parquet"
_COLUMNS = ["image_id", "source", "shard", "rejects"]


@dataclass(frozen=True)
class ReusedRecords:
    """Records of an earlier dataset that are part of the new one.

    Attributes:
        base: The earlier dataset; None when nothing can be reused.
        files: Its shards, with the records excluded that are not part of the new dataset.
        items: Rows of its items table that are still valid.
        rows: Rows of its table of records (statistics, patches) that are still valid.
    """

    base: Manifest | None
    files: tuple[StoredFile, ...]
    items: pd.DataFrame
    rows: pd.DataFrame

    @property
    def image_ids(self) -> frozenset[str]:
        """The images that need no work."""
        return frozenset(self.items["image_id"])

    @property
    def next_index(self) -> int:
        """The number of the first new shard."""
        shards = [] if self.base is None else self.base.files_like("shard-")
        return max((int(file.name.removeprefix("shard-")) + 1 for file in shards), default=0)


def series_id(kind: Kind[Any], settings: Mapping[str, Any]) -> str:
    """Return the id that all datasets of the same settings share, whatever their sources."""
    return content_id(f"{kind.folder}/series", kind.revision, settings)


def reuse_from(
    store: Store,
    dataset: Manifest,
    sources: Mapping[str, str],
    table: str,
    record_id: str,
    has_valid_rejects: Callable[[str, list[dict[str, str]]], bool] | None = None,
) -> ReusedRecords:
    """Return the records that an earlier dataset of the same series has of these sources.

    Args:
        store: Where datasets are.
        dataset: The new dataset; its facts name the series.
        sources: image_id → digest of its source.
        table: Name of the table of the records.
        record_id: The column of the table with the ids of the records.
        has_valid_rejects: Whether the earlier rejects of an image are still correct.
    """
    base = _base(store, dataset, sources)
    if base is None:
        empty = pd.DataFrame(columns=_COLUMNS)
        return ReusedRecords(None, (), empty, pd.DataFrame(columns=["image_id"]))
    items, rows = read_table(store, base, ITEMS), read_table(store, base, table)
    valid = items["image_id"].map(sources).eq(items["source"])
    if has_valid_rejects is not None:
        for row in items.index[valid & items["rejects"].ne("[]")]:
            rejects = json.loads(items.at[row, "rejects"])
            valid[row] = has_valid_rejects(items.at[row, "image_id"], rejects)
    kept = items[valid]
    is_kept = rows["image_id"].isin(set(kept["image_id"]))
    shards = dict(zip(items["image_id"], items["shard"], strict=True))
    dropped = rows[~is_kept]
    excluded = dropped[record_id].groupby(dropped["image_id"].map(shards)).agg(list).to_dict()
    files = []
    for file in base.files_like("shard-"):
        ids = {*file.excluded, *excluded.get(file.name, [])}
        if len(ids) < (file.count or 0):
            files.append(file.model_copy(update={"excluded": tuple(sorted(ids))}))
    return ReusedRecords(base, tuple(files), kept, rows[is_kept])


def _base(store: Store, dataset: Manifest, sources: Mapping[str, str]) -> Manifest | None:
    """Return the dataset to reuse; all partitions of a plan agree on it, by a note."""
    key = f"{dataset.folder}/{BASE_NOTE}"
    previous = store.read(key, MAXIMUM_NOTE_BYTES) if store.exists(key) else None
    noted_id = None if previous is None else str(parse_object(previous, key)["base"])
    if noted_id == "":
        return None
    if noted_id is not None:
        noted = find(store, dataset.kind, noted_id)
        if noted is not None:
            return noted
    best = _best(store, dataset, sources)
    note = json.dumps({"base": best.id if best is not None else ""}).encode()
    if best is None:
        store.write_if(key, note, previous)
        return None
    # Under the lease, garbage collection either removed the dataset before, or sees the note.
    with store.lease(best.folder):
        if find(store, dataset.kind, best.id) is None:
            return None
        if not store.write_if(key, note, previous):  # another partition was faster
            other_id = _read_note(store, key)
            return find(store, dataset.kind, other_id) if other_id else None
    return best


def _read_note(store: Store, key: str) -> str | None:
    return str(read_object(store, key, MAXIMUM_NOTE_BYTES)["base"]) if store.exists(key) else None


def _best(store: Store, dataset: Manifest, sources: Mapping[str, str]) -> Manifest | None:
    """Return the dataset of the series with most of the images; at least half must be of use."""
    best: tuple[int, str, Manifest] | None = None
    for key in store.list(f"{dataset.kind}/"):
        if not key.endswith("/manifest.json") or key == dataset.key:
            continue
        try:
            manifest = read_manifest(store, key)
            if dataset_facts(manifest).series != dataset_facts(dataset).series:
                continue
            items = read_table(store, manifest, ITEMS)
        except MammoError:  # damaged, of a later version, or removed in the meantime
            continue
        valid = int(items["image_id"].map(sources).eq(items["source"]).sum())
        if valid and 2 * valid >= len(items):
            rank = (valid, manifest.id, manifest)
            best = rank if best is None or rank[:2] > best[:2] else best
    return None if best is None else best[2]


def items_table(
    shards: Sequence[FinishedShard], sources: Mapping[str, str], reused: ReusedRecords
) -> pd.DataFrame:
    """Return the items table of a dataset.

    Args:
        shards: The new shards.
        sources: image_id → digest of its source.
        reused: The reused records.
    """
    new = [
        {
            "image_id": outcome.image_id,
            "source": sources.get(outcome.image_id, ""),
            "shard": shard.file.name if shard.file is not None and outcome.rows else "",
            "rejects": json.dumps(outcome.rejects),
        }
        for shard in shards
        for outcome in shard.outcomes
    ]
    return concat_rows(reused.items, pd.DataFrame(new, columns=_COLUMNS))


def rejects_of(items: pd.DataFrame) -> list[dict[str, str]]:
    """Return the rows of the rejects table that an items table contains."""
    texts = items.loc[items["rejects"].ne("[]"), "rejects"]
    return [row for text in texts for row in json.loads(text)]


def concat_rows(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of both tables; an empty table does not influence the column types."""
    tables = [table for table in (old, new) if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else new
