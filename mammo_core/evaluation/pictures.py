"""Pictures of an evaluation: patches of each class, and test views with their heatmaps."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mammo_core.datasets import Manifest
from mammo_core.datasets.readers import RecordSource
from mammo_core.evaluation.explanation import hot_regions
from mammo_core.evaluation.localization.views import Heater, one_image_per_view, shown_views
from mammo_core.features.frame import Frame
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
    frame: Frame,
    predictions: pd.DataFrame,
    heater: Heater,
    count: int,
) -> tuple[list[Overlay], list[dict[str, Any]]]:
    """Return the most and the least suspicious test views of both labels, with heatmaps.

    A view is shown once, with the lesions of all its files and tables.

    Args:
        store: Where the images are.
        images: The image dataset.
        frame: The frame.
        predictions: Predictions of the test set.
        heater: The patch classifier.
        count: Number of views.

    Returns:
        Pictures, and their hottest regions as rows of a table.
    """
    views = one_image_per_view(predictions, frame.images)
    ordered = views.sort_values(["probability", "image_id"])
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
    shown = {view.image_id: view for view in shown_views(store, images, frame, selected, heater)}
    overlays, regions = [], []
    for row in selected.itertuples():
        view = shown[row.image_id]
        heat = view.heat["lesion"]
        mask = np.zeros(view.pixels.shape, bool)
        for lesion in view.lesions:
            mask |= lesion.mask
        label = "malignant" if row.label else "benign"
        overlays.append(
            Overlay(
                image=view.pixels,
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
