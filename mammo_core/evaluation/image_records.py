"""Images of a dataset by their ids."""

from collections.abc import Collection, Iterator

from mammo_core.datasets import ImageRecord, Manifest
from mammo_core.datasets.random_access import locate_records
from mammo_core.datasets.tfrecord import read_record
from mammo_core.store import Store


def read_images(store: Store, images: Manifest, ids: Collection[str]) -> dict[str, ImageRecord]:
    """Read a few images of a dataset with their masks, all at once.

    Args:
        store: Where the images are.
        images: The image dataset.
        ids: Image ids.

    Returns:
        Image id → record, for each of `ids` that the dataset has.

    Raises:
        RecordError: A shard is damaged.
    """
    return {record.image_id: record for record in iterate_images(store, images, ids)}


def iterate_images(store: Store, images: Manifest, ids: Collection[str]) -> Iterator[ImageRecord]:
    """Yield images of a dataset with their masks, one at a time; the others are not decoded.

    Args:
        store: Where the images are.
        images: The image dataset.
        ids: Image ids.

    Yields:
        The record of each of `ids` that the dataset has, in the order of the dataset.

    Raises:
        RecordError: A shard is damaged.
    """
    requested = set(ids)
    for file in images.files_like("shard-") if requested else ():
        path = store.fetch(file.key)
        included = requested - set(file.excluded)
        locations = [
            location
            for image_id, location in locate_records(str(path), file.key, "image_id")
            if image_id in included
        ]
        if locations:
            with path.open("rb", buffering=0) as shard:
                for location in locations:
                    yield ImageRecord.from_bytes(read_record(shard.fileno(), location))
