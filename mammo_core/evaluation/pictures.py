"""Pictures of an evaluation: patches of each class, and test views with their heatmaps."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mammo_core.datasets import ImageRecord, Manifest
from mammo_core.datasets.random_access import locate_records
from mammo_core.datasets.readers import RecordSource
from mammo_core.datasets.tfrecord import read_record
from mammo_core.evaluation.explanation import hot_regions, patch_heatmap
from mammo_core.preprocessing import Preprocessing
from mammo_core.reporting import Overlay
from mammo_core.seeds import generator
from mammo_core.store import Store

_PATCHES_SHOWN = 8


def patch_examples(
    store: Store, patches: Manifest, labels: dict[str, int], classes: Sequence[str], seed: int
) -> dict[str, npt.NDArray[np.uint16]]:
    """Draw a few patches of each class.

    Args:
        store: Where the patches are.
        patches: The patch dataset.
        labels: Patch id → class index.
        classes: Names of the classes.
        seed: Seed of the draw.

    Returns:
        Class name → patches `(n, h, w) uint16`, for each class that occurs.
    """
    by_class: dict[int, list[str]] = defaultdict(list)
    for name in sorted(labels):
        by_class[labels[name]].append(name)
    chosen: dict[str, int] = {}
    for index, names in by_class.items():
        draw = generator(seed, "patch-examples", index)
        for position in draw.permutation(len(names))[:_PATCHES_SHOWN]:
            chosen[names[position]] = index
    pictures: dict[int, list[npt.NDArray[np.uint16]]] = defaultdict(list)
    for batch in RecordSource(store, patches, chosen, classes=len(classes), batch_size=8).batches(
        0
    ):
        for name, pixels in zip(batch.ids, batch.pixels, strict=True):
            pictures[chosen[name]].append(pixels)
    return {classes[index]: np.stack(pictures[index]) for index in sorted(pictures)}


def heatmap_overlays(
    store: Store,
    images: Manifest,
    predictions: pd.DataFrame,
    patch_model: Any,
    preprocessing: Preprocessing,
    patch_size: int,
    count: int,
) -> tuple[list[Overlay], list[dict[str, Any]]]:
    """Return the most and the least suspicious test views of both labels, with heatmaps.

    Args:
        store: Where the images are.
        images: The image dataset.
        predictions: Predictions of the test set.
        patch_model: The patch classifier.
        preprocessing: How pixels reach it.
        patch_size: Side of its patches, pixels.
        count: Number of views.

    Returns:
        Pictures, and their hottest regions as rows of a table.
    """
    from mammo_core.models import fully_convolutional

    ordered = predictions.sort_values(["probability", "image_id"])
    positive, negative = ordered[ordered["label"] == 1], ordered[ordered["label"] == 0]
    half = (count + 1) // 2
    selected = pd.concat(
        [
            positive.tail(half - half // 3),
            positive.head(half // 3),
            negative.head(count - half - (count - half) // 3),
            negative.tail((count - half) // 3),
        ]
    ).drop_duplicates("image_id")
    rows = {row.image_id: row for row in selected.itertuples()}
    records = read_images(store, images, rows)
    network = fully_convolutional(patch_model, patch_size)
    overlays, regions = [], []
    for name, row in rows.items():
        record = records[name]
        batch = preprocessing.to_network(record.pixels[np.newaxis])
        heat = patch_heatmap(network, batch, patch_size)[0]
        mask = np.zeros(record.pixels.shape, bool)
        for lesion in record.lesions:
            mask |= lesion.mask
        label = "malignant" if row.label else "benign"
        overlays.append(
            Overlay(
                image=record.pixels,
                heat=heat,
                mask=mask,
                caption=f"{row.view_id}: {label}, malignant probability {row.probability:.2f}",
            )
        )
        regions += [
            {
                "view": row.view_id,
                "region": region.rank,
                "row": round(region.row),
                "column": round(region.column),
                "rows": f"{region.top}–{region.bottom}",
                "columns": f"{region.left}–{region.right}",
                "area (pixels)": region.area,
                "highest": region.peak,
                "in an annotated lesion": bool(mask[round(region.row), round(region.column)]),
            }
            for region in hot_regions(heat)
        ]
    return overlays, regions


def read_images(store: Store, images: Manifest, ids: Collection[str]) -> dict[str, ImageRecord]:
    """Read a few images of a dataset with their masks; the others are not decoded.

    Args:
        store: Where the images are.
        images: The image dataset.
        ids: Image ids.

    Returns:
        Image id → record, for each of `ids` that the dataset has.

    Raises:
        RecordError: A shard is damaged.
    """
    records: dict[str, ImageRecord] = {}
    for file in images.files_like("shard-"):
        path = store.fetch(file.key)
        included = set(ids) - set(file.excluded)
        locations = [
            location
            for image_id, location in locate_records(str(path), file.key, "image_id")
            if image_id in included
        ]
        if locations:
            with path.open("rb", buffering=0) as shard:
                for location in locations:
                    record = ImageRecord.from_bytes(read_record(shard.fileno(), location))
                    records[record.image_id] = record
    return records
