import numpy as np

from mammo_core.datasets import ImageRecord, Manifest
from mammo_core.datasets.records import LesionMask
from mammo_core.datasets.shards import write_shard
from mammo_core.evaluation.image_records import read_images
from mammo_core.store import open_store


def record(number):
    pixels = np.full((12, 10), number, np.uint16)
    mask = np.zeros((12, 10), bool)
    mask[number, number] = True
    return ImageRecord(f"i{number}" + "x" * 62, pixels, (LesionMask("lesion", mask),), 24, 20)


def test_only_the_requested_images_are_read_with_their_masks(tmp_path):
    store = open_store(f"file://{tmp_path}/store")
    records = [record(number) for number in range(5)]
    files = [
        write_shard(store, "images/d", 0, (each.to_bytes() for each in records[:3])),
        write_shard(store, "images/d", 1, (each.to_bytes() for each in records[3:])),
    ]
    files[1] = files[1].model_copy(update={"excluded": (records[4].image_id,)})
    manifest = Manifest(kind="images", id="d", revision=1, config={}, files=tuple(files))
    ids = [records[1].image_id, records[3].image_id, records[4].image_id, "missing"]
    images = read_images(store, manifest, ids)
    # The fifth record is excluded by the manifest: it was removed from the dataset.
    assert list(images) == [records[1].image_id, records[3].image_id]
    for image in (images[records[1].image_id], images[records[3].image_id]):
        number = int(image.pixels[0, 0])
        assert image.to_bytes() == records[number].to_bytes()
