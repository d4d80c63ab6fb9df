"""What an output takes over from an earlier one of the same settings: cost follows new images.

The new manifest lists the earlier one's shards and the new ones. Records whose sources were
removed or changed stay in the old shards, and are excluded there. The id is that of the same
set made from nothing: it follows the sources alone.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mammo_core.datasets import Manifest, StoredFile, content_id, find, parse
from mammo_core.datasets.shards import BASE_NOTE
from mammo_core.datasets.tables import read_table
from mammo_core.errors import MammoError
from mammo_core.ingest.planned_shards import Part
from mammo_core.store import Store

#: The table of what became of every image: its source's digest, the shard that holds its
#: records (empty when there are none), and its rows of the rejects table (JSON).
ITEMS = "items.parquet"
_COLUMNS = ["image_id", "source", "shard", "rejects"]


@dataclass(frozen=True)
class Carried:
    """What is taken over.

    Attributes:
        base: The earlier output; None when there is none to take from.
        files: Its shards with the records excluded that are no longer wanted.
        items: Rows of its items table that still hold.
        rows: Their rows of its table (statistics, patches).
    """

    base: Manifest | None
    files: tuple[StoredFile, ...]
    items: pd.DataFrame
    rows: pd.DataFrame

    @property
    def ids(self) -> frozenset[str]:
        """The images that need no work."""
        return frozenset(self.items["image_id"])

    @property
    def next_index(self) -> int:
        """The number of the first new shard."""
        names = [] if self.base is None else self.base.files_like("shard-")
        return max((int(file.name.removeprefix("shard-")) + 1 for file in names), default=0)


def series(kind: str, revision: int, settings: Mapping[str, Any]) -> str:
    """Return what outputs share that can take over from each other: all but their sources."""
    return content_id(f"{kind}/series", revision, settings)


def carry(
    store: Store,
    dataset: Manifest,
    wanted: Mapping[str, str],
    table: str,
    record_id: str,
    still_holds: Callable[[str, list[dict[str, str]]], bool] | None = None,
) -> Carried:
    """Find what an earlier output of the same series holds of the wanted images.

    Args:
        store: Where outputs are.
        dataset: The output to be made; its facts name its series.
        wanted: image_id → digest of its source.
        table: Name of the table of rows.
        record_id: Its column with the ids of records.
        still_holds: Whether the rejects of an image, if it has any, are true today.
    """
    base = _base(store, dataset, wanted)
    if base is None:
        empty = pd.DataFrame(columns=_COLUMNS)
        return Carried(None, (), empty, pd.DataFrame(columns=["image_id"]))
    items, rows = read_table(store, base, ITEMS), read_table(store, base, table)
    same = items["image_id"].map(wanted).eq(items["source"])
    if still_holds is not None:
        for place in items.index[same & items["rejects"].ne("[]")]:
            told = json.loads(items.at[place, "rejects"])
            same[place] = still_holds(items.at[place, "image_id"], told)
    kept = items[same]
    inside = rows["image_id"].isin(set(kept["image_id"]))
    shards = dict(zip(items["image_id"], items["shard"], strict=True))
    dropped = rows[~inside]
    excluded = dropped[record_id].groupby(dropped["image_id"].map(shards)).agg(list).to_dict()
    files = []
    for file in base.files_like("shard-"):
        ids = {*file.excluded, *excluded.get(file.name, [])}
        if len(ids) < (file.count or 0):
            files.append(file.model_copy(update={"excluded": tuple(sorted(ids))}))
    return Carried(base, tuple(files), kept, rows[inside])


def _base(store: Store, dataset: Manifest, wanted: Mapping[str, str]) -> Manifest | None:
    key = f"{dataset.folder}/{BASE_NOTE}"  # so that all shares of a plan take the same one
    noted = _noted(store, key)
    if noted == "":
        return None
    if noted is not None:
        found = find(store, dataset.kind, noted)
        if found is not None:
            return found
    chosen = _best(store, dataset, wanted)
    note = json.dumps({"base": chosen.id if chosen is not None else ""}).encode()
    if chosen is None:
        store.write_if(key, note, None)
        return None
    # What a garbage collection is about to remove is not taken, and what is noted it leaves.
    with store.lease(chosen.folder):
        if find(store, dataset.kind, chosen.id) is None:
            return None
        if noted is not None:
            store.write(key, note)
        elif not store.write_if(key, note, None):  # another share was faster
            told = _noted(store, key)
            return find(store, dataset.kind, told) if told else None
    return chosen


def _noted(store: Store, key: str) -> str | None:
    return str(json.loads(store.read(key))["base"]) if store.exists(key) else None


def _best(store: Store, dataset: Manifest, wanted: Mapping[str, str]) -> Manifest | None:
    """The output of the series that holds most of the wanted images, if half of it is wanted."""
    best: tuple[int, str, Manifest] | None = None
    for key in store.list(f"{dataset.kind}/"):
        if not key.endswith("/manifest.json") or key == dataset.key:
            continue
        try:
            found = parse(store.read(key), key)
            if found.facts.get("series") != dataset.facts["series"]:
                continue
            items = read_table(store, found, ITEMS)
        except MammoError:  # damaged, of a later version, or removed meanwhile: not taken
            continue
        covered = int(items["image_id"].map(wanted).eq(items["source"]).sum())
        if covered and 2 * covered >= len(items):
            rank = (covered, found.id, found)
            best = rank if best is None or rank[:2] > best[:2] else best
    return None if best is None else best[2]


def items_of(parts: list[Part], sources: Mapping[str, str], carried: Carried) -> pd.DataFrame:
    """Return the items table of an output: what was taken over, and what was made.

    Args:
        parts: The finished shards.
        sources: image_id → digest of its source.
        carried: What was taken over.
    """
    made = [
        {
            "image_id": one.image_id,
            "source": sources.get(one.image_id, ""),
            "shard": part.file.name if part.file is not None and one.rows else "",
            "rejects": json.dumps(one.rejects),
        }
        for part in parts
        for one in part.made
    ]
    return joined(carried.items, pd.DataFrame(made, columns=_COLUMNS))


def rejects_in(items: pd.DataFrame) -> list[dict[str, str]]:
    """Return the rows of the rejects table that an items table holds."""
    told = items.loc[items["rejects"].ne("[]"), "rejects"]
    return [row for text in told for row in json.loads(text)]


def joined(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Return both tables' rows; a table without rows has no say in the types of columns."""
    full = [table for table in (old, new) if len(table)]
    return pd.concat(full, ignore_index=True) if full else new
