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
    items = read_table(store, images, ITEMS)
    items = items.loc[items["shard"].ne(""), ["image_id", "shard"]]
    files = {file.name: file for file in images.files}
    rows = []
    for name, group in items.groupby("shard"):
        file = files[str(name)]
        ids = sorted({*group["image_id"], *file.excluded})
        positions = {id: position for position, id in enumerate(ids)}
        rows += [(id, file.key, positions[id]) for id in group["image_id"]]
    return pd.DataFrame(rows, columns=["image_id", "shard", "position"])
