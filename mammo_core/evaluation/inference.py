"""Probabilities of a trained network for the records of a dataset."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mammo_core.datasets import Manifest
from mammo_core.datasets.readers import RecordSource
from mammo_core.datasets.tables import read_table
from mammo_core.evaluation.aggregate import unit_of
from mammo_core.evaluation.averaging import shift_offsets, shift_pixels
from mammo_core.evaluation.breasts import assign_probabilities, record_source
from mammo_core.evaluation.config import EvaluationConfig
from mammo_core.evaluation.patches import PatchEvaluation, patch_evaluation
from mammo_core.evaluation.subgroups import STATED
from mammo_core.preprocessing import Preprocessing
from mammo_core.processes import lighter_batch
from mammo_core.progress import progress
from mammo_core.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from mammo_core.features.frame import Frame

#: Columns of a frame that an evaluation needs; the last three define subgroups.
_COLUMNS = [
    *("image_id", "patient_key", "exam_key", "view_id", "laterality", "view", "view_class"),
    "label",
    *("source", "breast_density", "lesion_types"),
]
_PATCH_BATCH = 64


def image_predictions(
    store: Store,
    images: Manifest,
    rows: "pd.DataFrame",
    model: Any,
    preprocessing: Preprocessing,
    config: EvaluationConfig,
) -> "pd.DataFrame":
    """Score images, averaged over flips and translations as configured.

    Args:
        store: Where the images are.
        images: The image dataset.
        rows: Rows of a frame: the images to score.
        model: The whole-image classifier.
        preprocessing: How pixels reach it.
        config: Flips and translations.

    Returns:
        A row per image: image_id, patient_key, exam_key, view_id, laterality, view, view_class,
        label, source, breast_density, lesion_types, what else defines subgroups, probability
        (malignant, [0, 1]). A network of both views gives each CC and MLO image the probability of
        its breast.
    """
    from mammo_core.training import predict

    unit = unit_of(model)
    columns = [*_COLUMNS, *(name for name in STATED if name in rows.columns)]
    source = record_source(store, images, rows, unit)
    if not source.size:  # the caller reports an empty table
        return assign_probabilities(rows[columns], {}, unit)
    offsets = shift_offsets(config.translation)
    total: Any = 0.0
    with progress(f"score {unit}s", source.size * len(offsets), f"{unit}s") as shown:
        for down, right in offsets:

            def to_network(
                pixels: npt.NDArray[np.uint16], down: int = down, right: int = right
            ) -> npt.NDArray[np.float32]:
                return preprocessing.to_network(shift_pixels(pixels, down, right))

            ids, probabilities, _ = predict(
                model, source, to_network, config.flips, on_batch=shown.advance
            )
            total = total + probabilities[:, 1].astype(float)
    means = dict(zip(ids, total / len(offsets), strict=True))
    return assign_probabilities(rows[columns], means, unit)


def evaluate_patches(
    store: Store,
    patches: Manifest,
    frame: "Frame",
    labels: dict[str, int],
    model: Any,
    preprocessing: Preprocessing,
    *,
    classes: tuple[str, ...],
    replicates: int,
    seed: int,
) -> PatchEvaluation:
    """Score patches and evaluate the patch classifier on them.

    Args:
        store: Where the patches are.
        patches: The patch dataset.
        frame: The patient of each image.
        labels: Patch id → class index; these patches are scored.
        model: The patch classifier.
        preprocessing: How pixels reach it.
        classes: Class names by index.
        replicates: Bootstrap replicates of the intervals.
        seed: Seed of the bootstrap.
    """
    from mammo_core.training import predict

    source = RecordSource(
        store, patches, labels, classes=len(classes), batch_size=lighter_batch(_PATCH_BATCH)
    )
    ids, probabilities, truth = predict(model, source, preprocessing.to_network)
    table = read_table(store, patches, "patches.parquet")
    image_of = dict(zip(table["patch_id"], table["image_id"], strict=True))
    patient_of = dict(zip(frame.images["image_id"], frame.images["patient_key"], strict=True))
    return patch_evaluation(
        truth,
        probabilities,
        classes,
        groups=[patient_of[image_of[id]] for id in ids],
        replicates=replicates,
        seed=seed,
    )


def leaking_images(
    store: Store, images: Manifest, frame: "Frame", tables: Manifest | None, drops_test: bool
) -> "pd.DataFrame":
    """Return the official test images of leaking patients that the split left out of test.

    They are not part of the test set, but they are part of the split that others report on.

    Args:
        store: Where the tables are.
        images: The image dataset; images that were not converted cannot be scored.
        frame: The frame, with the patients on both sides of the official split.
        tables: The source tables of the images; None when they are gone.
        drops_test: Whether the split dropped these patients' test images.

    Returns:
        Rows of a frame, possibly none.
    """
    leaking = list(frame.facts.leaking_patients)
    if not leaking or tables is None or not drops_test:
        return frame.images[:0]
    rows = read_table(store, tables, "images.parquet")
    converted = read_table(store, images, "statistics.parquet", ("picture",))["image_id"]
    dropped = rows[
        rows["patient_key"].isin(leaking)
        & rows["official_splits"].eq("test")
        & rows["image_id"].isin(converted)
        & ~rows["image_id"].isin(frame.images["image_id"])
    ]
    return dropped.rename(columns={"malignant": "label"}).reset_index(drop=True)
