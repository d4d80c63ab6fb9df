"""The other files of a view that show the same picture, so that a lesion in one is in all.

A source may have a view several times, each time with its own file and its own lesions. In
CBIS-DDSM a view with a mass and a calcification is in the tables of both, with a file in each.
Files of a view that were taken one after the other show the breast in another place: their lesions
do not fit.
"""

import base64
from collections.abc import Collection, Iterator, Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from mammo_core.datasets import Manifest
from mammo_core.datasets.manifests import fetch_verified
from mammo_core.store import Store

if TYPE_CHECKING:
    import pandas as pd

#: Textures at least this alike, each in its place, are one picture. Two scans of a phantom's film
#: reach 0.997; the same scan moved by a 64th of its sides stays below 0.95.
_SAME: Final = 0.95
#: Share of the sides by which the areas that two records show may differ.
_MOVED: Final = 1 / 64
_AREA: Final = ("crop_x", "crop_y", "crop_width", "crop_height")
_COLUMNS: Final = (
    *("image_id", "lesions", "source_rows", "source_columns", "flipped"),
    *_AREA,
    "picture",
)
#: Rows of the statistics that are read at a time.
_ROWS: Final = 16_384


def other_files(
    store: Store, images: Manifest, views: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Return the other files with lesions that show the same picture as a file.

    Files of one view show the same picture if their sources have the same size, their records show
    the same area of it, and their textures are alike in the same place.

    Args:
        store: Where the dataset is.
        images: The image dataset, whose statistics have sizes, areas and textures.
        views: Image id → view id of the images of a source.

    Returns:
        Image id → the ids of these other files, sorted; images that have none are left out.
    """
    of_view: dict[str, list[str]] = {}
    for image_id, view_id in views.items():
        of_view.setdefault(view_id, []).append(image_id)
    groups = [sorted(ids) for ids in of_view.values() if len(ids) > 1]
    if not groups:
        return {}
    rows = _read_rows(store, images, {image_id for ids in groups for image_id in ids})
    result: dict[str, list[str]] = {}
    for ids in groups:
        for one, other in combinations([rows[id] for id in ids if id in rows], 2):
            if (one["lesions"] or other["lesions"]) and _fits(one, other):
                for row, beside in ((one, other), (other, one)):
                    if beside["lesions"]:
                        result.setdefault(row["image_id"], []).append(beside["image_id"])
    return {image_id: tuple(sorted(others)) for image_id, others in sorted(result.items())}


def view_ids(images: "pd.DataFrame") -> dict[str, str]:
    """Return image id → view id.

    Args:
        images: A table of images, or the images of a frame: image_id, view_id.
    """
    return dict(zip(images["image_id"], images["view_id"].astype(str), strict=True))


def _read_rows(store: Store, images: Manifest, ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """Read the statistics of some images, a part of the table at a time."""
    return {row["image_id"]: row for row in _rows(store, images) if row["image_id"] in ids}


def _rows(store: Store, images: Manifest) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    path = fetch_verified(store, images.file("statistics.parquet"))
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for batch in file.iter_batches(_ROWS, columns=list(_COLUMNS), use_threads=False):
            yield from batch.to_pylist()


def _fits(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two files show the same picture in the same place."""
    import numpy as np

    from mammo_core.imaging.picture_digest import likeness_in_place, texture_of

    if any(one[name] != other[name] for name in ("source_rows", "source_columns", "flipped")):
        return False
    sides = (one["source_columns"], one["source_rows"]) * 2
    if any(
        abs(one[name] - other[name]) > _MOVED * side
        for name, side in zip(_AREA, sides, strict=True)
    ):
        return False
    textures = [
        texture_of(np.frombuffer(base64.b64decode(row["picture"]), np.uint8))
        for row in (one, other)
    ]
    return likeness_in_place(*textures) >= _SAME
