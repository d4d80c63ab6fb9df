"""The location of each image's record in a dataset."""

import pandas as pd

from mammo_core.datasets import Manifest
from mammo_core.datasets.tables import read_table
from mammo_core.ingest.reuse import ITEMS
from mammo_core.store import Store


def record_locations(store: Store, images: Manifest) -> pd.DataFrame:
    """Return the shard and the position of every record of an image dataset.

    No shard is read: the dataset's items table lists the shards, and the records of a shard,
    excluded ones included, are sorted by id.

    Args:
        store: The object store.
        images: The dataset's manifest.

    Returns:
        image_id, shard (key in the store), position (from 0).
    """
    items = read_table(store, images, ITEMS, without=("source", "rejects"))
    items = items.loc[items["shard"].ne(""), ["image_id", "shard"]]
    files = {file.name: file for file in images.files}
    ids_of_rows: list[str] = []
    keys: list[str] = []
    places: list[int] = []
    for name, group in items.groupby("shard"):
        file = files[str(name)]
        ids = sorted({*group["image_id"], *file.excluded})
        positions = {id: position for position, id in enumerate(ids)}
        ids_of_rows += group["image_id"].tolist()
        keys += [file.key] * len(group)
        places += [positions[id] for id in group["image_id"]]
    return pd.DataFrame({"image_id": ids_of_rows, "shard": keys, "position": places})
