"""Breasts in place of images, for networks that see the CC and the MLO view at once."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mammo_core.datasets import Manifest
from mammo_core.datasets.breasts import BreastSource, BreastViews
from mammo_core.datasets.readers import RecordSource
from mammo_core.evaluation.aggregate import Unit
from mammo_core.features.frame import IMAGE_CLASSES
from mammo_core.store import Store

if TYPE_CHECKING:
    import pandas as pd

_BATCH = 8


def breast_views(images: "pd.DataFrame") -> dict[str, BreastViews]:
    """Group the images of a frame by breast.

    Where a view has several files, the one with the first image id is used. A breast is
    malignant if any of its images is. Images of other views than CC and MLO are ignored.

    Args:
        images: Rows of a frame: image_id, patient_key, laterality, view, label.

    Returns:
        Breast id (`<patient>/<laterality>`) → its views and label.
    """
    breasts: dict[str, BreastViews] = {}
    for row in images.sort_values("image_id").itertuples():
        view = str(row.view).upper()
        if view not in ("CC", "MLO"):
            continue
        breast_id = _breast_id(row)
        breast = breasts.get(breast_id, BreastViews(None, None, 0))
        label = max(breast.label, int(row.label))
        image = str(row.image_id)
        if view == "CC":
            breasts[breast_id] = BreastViews(breast.cc or image, breast.mlo, label)
        else:
            breasts[breast_id] = BreastViews(breast.cc, breast.mlo or image, label)
    return breasts


def record_source(store: Store, images: Manifest, rows: "pd.DataFrame", unit: Unit) -> Any:
    """Return the images of a frame, or their breasts, in batches.

    Args:
        store: Where the images are.
        images: The image dataset.
        rows: Rows of a frame.
        unit: What the network sees at once.
    """
    classes = len(IMAGE_CLASSES)
    if unit == "breast":
        return BreastSource(store, images, breast_views(rows), classes=classes, batch_size=_BATCH)
    labels = dict(zip(rows["image_id"], rows["label"].astype(int), strict=True))
    return RecordSource(store, images, labels, classes=classes, batch_size=_BATCH)


def assign_probabilities(
    rows: "pd.DataFrame", probabilities: Mapping[str, float], unit: Unit
) -> "pd.DataFrame":
    """Return rows of a frame with the probability of the image, or of its breast.

    Args:
        rows: Rows of a frame.
        probabilities: By the ids of `record_source`, [0, 1].
        unit: What the probabilities are of. For breasts, images of other views than CC and
            MLO are dropped.
    """
    import pandas as pd

    ids = rows["image_id"]
    if unit == "breast":
        ids = pd.Series([_breast_id(row) for row in rows.itertuples()], index=rows.index)
        usable = rows["view"].astype(str).str.upper().isin(["CC", "MLO"])
        rows, ids = rows[usable], ids[usable]
    return rows.assign(probability=ids.map(probabilities).astype(float))


def _breast_id(row: object) -> str:
    return f"{row.patient_key}/{row.laterality}"  # type: ignore[attr-defined]
