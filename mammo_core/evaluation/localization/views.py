"""The test views with their heatmaps and with the lesions of all their files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mammo_core.datasets import LesionMask, Manifest
from mammo_core.evaluation.image_records import iterate_images
from mammo_core.evaluation.lesion_sizes import greatest_dimension, pixel_spacing
from mammo_core.evaluation.localization.measure import ShownLesion, ShownView, Target
from mammo_core.evaluation.patch_heat import patch_heatmaps
from mammo_core.features.frame import Frame
from mammo_core.ingest.other_files import other_files, view_ids
from mammo_core.preprocessing import Preprocessing
from mammo_core.sampling import LabelMap
from mammo_core.store import Store


@dataclass(frozen=True)
class Heater:
    """A patch classifier and what turns its output into heatmaps.

    Attributes:
        model: The patch classifier, or the result of `models.fully_convolutional`.
        preprocessing: How pixels reach it.
        patch_size: Side of its patches, pixels.
        label_map: Its classes.
    """

    model: Any
    preprocessing: Preprocessing
    patch_size: int
    label_map: LabelMap

    def heat(self, pixels: npt.NDArray[np.uint16]) -> dict[Target, npt.NDArray[np.float32]]:
        """Return the probability of a lesion, and of a malignant one, at each pixel.

        Args:
            pixels: `(h, w) uint16, [0, 65535]`.

        Returns:
            Target → `(h, w) float32, [0, 1]`.
        """
        batch = self.preprocessing.to_network(pixels[np.newaxis])
        every = list(range(1, len(self.label_map.names)))
        lesion, malignant = patch_heatmaps(
            self.model, batch, self.patch_size, [every, self.malignant_classes()]
        )
        return {"lesion": lesion[0], "malignant": malignant[0]}

    def malignant_classes(self) -> list[int]:
        """Return the indices of the classes that have a malignant lesion class."""
        return [
            index
            for index, patch_class in enumerate(self.label_map.classes)
            if any(name.endswith("_mal") for name in patch_class.lesions)
        ]


def shown_views(
    store: Store, images: Manifest, frame: Frame, predictions: pd.DataFrame, heater: Heater
) -> Iterator[ShownView]:
    """Yield the test views, each once, in the order of the dataset.

    A view with several files is that file of it which was chosen, or else the first by its id. It
    has the lesions of all its files that show the same picture.

    Args:
        store: Where the images are.
        images: The image dataset.
        frame: The frame; its lesions are those that count.
        predictions: Predictions of the test set.
        heater: The patch classifier.
    """
    rows = one_image_per_view(predictions, frame.images)
    by_image = rows.set_index("image_id")
    shown = frame.images[frame.images["view_id"].isin(rows["view_id"])]
    others = other_files(store, images, view_ids(shown))
    masks = _other_masks(store, images, {id: others.get(id, ()) for id in rows["image_id"]})
    lesions = frame.lesions.set_index("lesion_id")
    area = dict(zip(frame.images["image_id"], frame.images.get("area_mm2", ()), strict=False))
    for record in iterate_images(store, images, rows["image_id"]):
        row = by_image.loc[record.image_id]
        spacing = pixel_spacing(record, area.get(record.image_id), heater.preprocessing)
        lesion_masks = {
            x.lesion_id: x.mask for x in (*masks.get(record.image_id, ()), *record.lesions)
        }
        yield ShownView(
            image_id=record.image_id,
            view_id=str(row.view_id),
            patient_key=str(row.patient_key),
            pixels=record.pixels,
            lesions=[
                ShownLesion(
                    mask=mask,
                    is_malignant=lesions.at[name, "pathology"] == "MALIGNANT",
                    lesion_type=str(lesions.at[name, "lesion_type"]),
                    dimension_mm=None if spacing is None else greatest_dimension(mask, spacing),
                )
                for name, mask in sorted(lesion_masks.items())
                if name in lesions.index and mask.any()
            ],
            heat=heater.heat(record.pixels),
        )


def one_image_per_view(predictions: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each view.

    Args:
        predictions: Rows with image_id and view_id.
        images: The images of the frame; `not_chosen` is empty for the file that was chosen.

    Returns:
        The rows of `predictions` of the chosen file of each view, or else of the first by its id.
    """
    chosen = images.set_index("image_id").get("not_chosen", pd.Series(dtype=str))
    is_other = predictions["image_id"].map(chosen).fillna("").ne("")
    ordered = predictions.assign(is_other=is_other).sort_values(["view_id", "is_other", "image_id"])
    return ordered.drop_duplicates("view_id").drop(columns="is_other")


def _other_masks(
    store: Store, images: Manifest, others: Mapping[str, Sequence[str]]
) -> dict[str, list[LesionMask]]:
    """Read the lesions of the other files of views, by the id of the file that is shown."""
    requested = {name for names in others.values() for name in names}
    lesions = {
        record.image_id: record.lesions for record in iterate_images(store, images, requested)
    }
    return {
        image_id: [lesion for name in names for lesion in lesions.get(name, ())]
        for image_id, names in others.items()
    }
