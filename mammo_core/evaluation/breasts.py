"""Breasts in place of images, for networks that see the CC and the MLO view at once."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

from mammo_core.datasets import Manifest
from mammo_core.datasets.breasts import BreastSource, BreastViews
from mammo_core.datasets.readers import RecordSource
from mammo_core.evaluation.aggregate import Unit
from mammo_core.features.frame import IMAGE_CLASSES
from mammo_core.processes import lighter_batch
from mammo_core.sources.best_image import candidate_of, choose_views
from mammo_core.store import Store

if TYPE_CHECKING:
    import pandas as pd

_BATCH = 8
#: Between a breast and the number of a further pair.
_PAIR = "#"


def breast_views(images: "pd.DataFrame") -> dict[str, BreastViews]:
    """Group the images of a frame by breast.

    Where a view has several images, the best one is used (`sources.best_image`). A breast whose
    view exists in parts has one pair for each part. A breast is malignant if any of its images
    is. Images that count neither as CC nor as MLO are ignored.

    Args:
        images: Rows of a frame.

    Returns:
        Breast id (`<patient>/<exam>/<laterality>`, with `#2` and so on for further pairs) → its
        views and label.
    """
    rows = list(images.sort_values("image_id").itertuples())
    choices = choose_views((_breast_id(row), candidate_of(row)) for row in rows)
    labels: dict[str, int] = {}
    for row in rows:
        if row.view_class:
            labels[_breast_id(row)] = max(labels.get(_breast_id(row), 0), int(row.label))
    breasts: dict[str, BreastViews] = {}
    for breast, label in labels.items():
        views = [
            choices[breast, view].chosen if (breast, view) in choices else (None,)
            for view in ("CC", "MLO")
        ]
        for number, (cc, mlo) in enumerate(product(*views), start=1):
            name = breast if number == 1 else f"{breast}{_PAIR}{number}"
            breasts[name] = BreastViews(cc, mlo, label)
    return breasts


def record_source(store: Store, images: Manifest, rows: "pd.DataFrame", unit: Unit) -> Any:
    """Return the images of a frame, or their breasts, in batches.

    Args:
        store: Where the images are.
        images: The image dataset.
        rows: Rows of a frame.
        unit: What the network sees at once.
    """
    classes, size = len(IMAGE_CLASSES), lighter_batch(_BATCH)
    if unit == "breast":
        return BreastSource(store, images, breast_views(rows), classes=classes, batch_size=size)
    labels = dict(zip(rows["image_id"], rows["label"].astype(int), strict=True))
    return RecordSource(store, images, labels, classes=classes, batch_size=size)


def assign_probabilities(
    rows: "pd.DataFrame", probabilities: Mapping[str, float], unit: Unit
) -> "pd.DataFrame":
    """Return rows of a frame with the probability of the image, or of its breast.

    Args:
        rows: Rows of a frame.
        probabilities: By the ids of `record_source`, [0, 1]; that of a breast with several pairs
            is their mean.
        unit: What the probabilities are of. For breasts, images that count neither as CC nor as
            MLO are dropped.
    """
    import pandas as pd

    ids = rows["image_id"]
    if unit == "breast":
        ids = pd.Series([_breast_id(row) for row in rows.itertuples()], index=rows.index)
        usable = rows["view_class"].isin(["CC", "MLO"])
        rows, ids = rows[usable], ids[usable]
        pairs: dict[str, list[float]] = defaultdict(list)
        for name, value in probabilities.items():
            pairs[name.partition(_PAIR)[0]].append(value)
        probabilities = {name: sum(values) / len(values) for name, values in pairs.items()}
    return rows.assign(probability=ids.map(probabilities).astype(float))


def _breast_id(row: object) -> str:
    parts = (row.patient_key, row.exam_key, row.laterality)  # type: ignore[attr-defined]
    return "/".join(part for part in parts if part)
