"""The breasts of a frame's images, for networks that see both views."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mammo_core.datasets import Manifest
from mammo_core.datasets.exams import Exam, ExamSource
from mammo_core.datasets.readers import RecordSource
from mammo_core.evaluation.aggregate import Unit
from mammo_core.features.frame import IMAGE_CLASSES
from mammo_core.store import Store

_BATCH = 8


def exams_of(images: pd.DataFrame) -> dict[str, Exam]:
    """Return breast id (`<patient>/<laterality>`) to its views, of rows of a frame.

    Of several files of a view the one with the first id is taken; a breast is malignant
    where any of its images is. Images of other views belong to no breast here.
    """
    found: dict[str, Exam] = {}
    for row in images.sort_values("image_id").itertuples():
        view = str(row.view).upper()
        if view not in ("CC", "MLO"):
            continue
        name = _breast_of(row)
        exam = found.get(name, Exam(None, None, 0))
        label = max(exam.label, int(row.label))
        image = str(row.image_id)
        if view == "CC":
            found[name] = Exam(exam.cc or image, exam.mlo, label)
        else:
            found[name] = Exam(exam.cc, exam.mlo or image, label)
    return found


def source_of(store: Store, images: Manifest, rows: pd.DataFrame, unit: Unit) -> Any:
    """Return the images of a frame, or their breasts, in batches: what a network sees at once.

    Args:
        store: Where the images are.
        images: The image dataset.
        rows: Of a frame.
        unit: What the network sees at once.
    """
    classes = len(IMAGE_CLASSES)
    if unit == "breast":
        return ExamSource(store, images, exams_of(rows), classes=classes, batch_size=_BATCH)
    labels = dict(zip(rows["image_id"], rows["label"].astype(int), strict=True))
    return RecordSource(store, images, labels, classes=classes, batch_size=_BATCH)


def with_scores(rows: pd.DataFrame, scores: Mapping[str, float], unit: Unit) -> pd.DataFrame:
    """Return rows of a frame with the probability of the image, or of the breast it is of.

    Args:
        rows: Of a frame.
        scores: By the ids of `source_of`.
        unit: What they are of. Of breasts, images of other views than CC and MLO are left out.
    """
    ids = rows["image_id"]
    if unit == "breast":
        ids = pd.Series([_breast_of(row) for row in rows.itertuples()], index=rows.index)
        seen = rows["view"].astype(str).str.upper().isin(["CC", "MLO"])
        rows, ids = rows[seen], ids[seen]
    return rows.assign(probability=ids.map(scores).astype(float))


def _breast_of(row: object) -> str:
    return f"{row.patient_key}/{row.laterality}"  # type: ignore[attr-defined]
