"""Sizes of annotated lesions, divided as the T categories of breast cancer are.

T1b is a tumor of up to 10 mm in its greatest dimension, T1c one of up to 20 mm, T2 of up to 50 mm
and T3 a larger one (AJCC Cancer Staging Manual, 8th edition, 2017, Breast; printed in the National
Cancer Institute's PDQ, "Breast Cancer Treatment", table "Definition of Primary Tumor (T)"). Here it
is the greatest dimension of the annotated outline at the detector, not that of a specimen.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from mammo_core.datasets import ImageRecord, LesionMask, Manifest
from mammo_core.evaluation.image_records import iterate_images
from mammo_core.features.frame import Frame
from mammo_core.ingest.other_files import other_files, view_ids
from mammo_core.preprocessing import Preprocessing
from mammo_core.store import Store

#: Greatest dimensions that divide sizes, mm; each belongs to the smaller size.
SIZES_MM: Final = (10.0, 20.0, 50.0)
_NO_LESION: Final = "none annotated"
#: Height and width of a pixel at the detector, mm.
Spacing = tuple[float, float]


def size_group(millimeters: float) -> str:
    """Return the name of the size of a lesion: `0 to 10 mm`, …, `over 50 mm`.

    Args:
        millimeters: Its greatest dimension.
    """
    for low, high in zip((0.0, *SIZES_MM), SIZES_MM, strict=False):
        if millimeters <= high:
            return f"{low:g} to {high:g} mm"
    return f"over {SIZES_MM[-1]:g} mm"


def greatest_dimension(mask: npt.NDArray[np.bool_], spacing: Spacing) -> float:
    """Return the greatest distance of two points of a lesion, mm.

    Args:
        mask: `(h, w) bool`, true in at least one pixel.
        spacing: Height and width of a pixel, mm.
    """
    import cv2

    rows, columns = np.nonzero(mask)
    # The corners of the pixels, so that a single pixel has a diagonal.
    corners = np.concatenate(
        [np.stack([columns + x, rows + y], axis=1) for x in (0, 1) for y in (0, 1)]
    )
    hull = cv2.convexHull(corners.astype(np.int32))[:, 0].astype(np.float64)
    points = hull * (spacing[1], spacing[0])
    return float(np.linalg.norm(points[:, None] - points[None], axis=-1).max())


def pixel_spacing(
    record: ImageRecord, area_mm2: float | None, preprocessing: Preprocessing
) -> Spacing | None:
    """Return the height and the width of a pixel of a record at the detector, mm.

    Args:
        record: The record; pixels of its source are square.
        area_mm2: Area of the source at the detector.
        preprocessing: How the record was made.

    Returns:
        None if they are unknown: the area is, or the image was cropped.
    """
    if area_mm2 is None or not np.isfinite(area_mm2) or area_mm2 <= 0:
        return None
    if preprocessing.conversion.crop_to_breast:
        return None
    source = float(np.sqrt(area_mm2 / (record.source_rows * record.source_columns)))
    height, width = record.pixels.shape
    down, across = record.source_rows / height, record.source_columns / width
    if preprocessing.geometry.resize == "pad":
        down = across = max(down, across)
    elif preprocessing.geometry.resize != "forced":
        across = down
    return source * down, source * across


def lesion_sizes(
    store: Store,
    images: Manifest,
    frame: Frame,
    rows: pd.DataFrame,
    preprocessing: Preprocessing,
) -> "pd.Series[str]":
    """Return the size of the largest lesion of each of some images.

    In a malignant image, the malignant lesions count. They are those of all files of its view that
    show the same picture.

    Args:
        store: Where the images are.
        images: The image dataset.
        frame: The frame.
        rows: image_id and label of the images.
        preprocessing: How their records were made.

    Returns:
        A name of `size_group` for each row, `none annotated`, or an empty text where the spacing of
        the pixels is unknown.
    """
    ids = rows["image_id"].astype(str)
    views = frame.images[frame.images["image_id"].isin(ids)]["view_id"]
    others = other_files(store, images, view_ids(frame.images[frame.images["view_id"].isin(views)]))
    beside = {name for id in ids for name in others.get(id, ())}
    masks = {record.image_id: record.lesions for record in iterate_images(store, images, beside)}
    malignant = set(frame.lesions.loc[frame.lesions["pathology"] == "MALIGNANT", "lesion_id"])
    labels = dict(zip(ids, rows["label"], strict=True))
    area = dict(zip(frame.images["image_id"], frame.images.get("area_mm2", ()), strict=False))
    sizes: dict[str, str] = {}
    for record in iterate_images(store, images, ids):
        names = others.get(record.image_id, ())
        lesions = [*record.lesions, *(lesion for name in names for lesion in masks[name])]
        counted = _counted(lesions, malignant, bool(labels[record.image_id]))
        spacing = pixel_spacing(record, area.get(record.image_id), preprocessing)
        if not counted:
            sizes[record.image_id] = _NO_LESION
        elif spacing is not None:
            largest = max(greatest_dimension(mask, spacing) for mask in counted)
            sizes[record.image_id] = size_group(largest)
    return ids.map(sizes).fillna("")


def _counted(
    lesions: Iterable[LesionMask], malignant: set[str], is_malignant: bool
) -> list[npt.NDArray[np.bool_]]:
    """The masks of the lesions that give an image its label."""
    return [
        lesion.mask
        for lesion in lesions
        if lesion.mask.any() and (not is_malignant or lesion.lesion_id in malignant)
    ]
