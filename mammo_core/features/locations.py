"""Where in a dataset the record of an image lies."""

import pandas as pd

from mammo_core.datasets import Manifest
from mammo_core.datasets.tables import read_table
from mammo_core.ingest.reuse import ITEMS
from mammo_core.store import Store


def record_locations(store: Store, images: Manifest) -> pd.DataFrame:
    """Return the shard and the position in it of every record of an image dataset.

    No shard is read: the dataset's table tells the shards, and in each of them records are
    sorted by id, excluded ones among them.

    Args:
        store: The object store.
        images: The dataset's manifest.

    Returns:
        image_id, shard (key in the store), position (from 0); no row where the dataset was
        made by a release that had no such table.
    """
    if all(file.name != ITEMS for file in images.files):
        return pd.DataFrame(columns=["image_id", "shard", "position"])
    items = read_table(store, images, ITEMS)
    held = items.loc[items["shard"].ne(""), ["image_id", "shard"]]
    rows = []
    for name, own in held.groupby("shard"):
        file = images.file(str(name))
        places = sorted({*own["image_id"], *file.excluded})
        position = {id: place for place, id in enumerate(places)}
        rows += [(id, file.key, position[id]) for id in own["image_id"]]
    return pd.DataFrame(rows, columns=["image_id", "shard", "position"])
