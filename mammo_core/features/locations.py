"""Where in a dataset the record of an image lies."""

import pandas as pd

from mammo_core.datasets import Manifest


def record_locations(images: Manifest, statistics: pd.DataFrame) -> pd.DataFrame:
    """Return the shard and the position in it of every record of an image dataset.

    No shard is read: a conversion writes its records sorted by id, shard after shard.

    Args:
        images: The dataset's manifest.
        statistics: Its statistics table.

    Returns:
        image_id, shard (key in the store), position (from 0); empty where the dataset does
        not tell.
    """
    shards = images.files_like("shard-")
    ids = sorted(str(id) for id in statistics["image_id"])
    if sum(file.count or 0 for file in shards) != len(ids):
        return pd.DataFrame(columns=["image_id", "shard", "position"])
    places = [(file.key, position) for file in shards for position in range(file.count or 0)]
    return pd.DataFrame(
        [(id, *place) for id, place in zip(ids, places, strict=True)],
        columns=["image_id", "shard", "position"],
    )
