"""Images that are new, or have another label, since a frame was made."""

from dataclasses import dataclass

import pandas as pd

from mammo_core.features import view_files
from mammo_core.features.definitions import IMAGE_LABEL
from mammo_core.features.frame import Frame
from mammo_core.features.labels import CORRECTION, LESIONS
from mammo_core.store import Store


@dataclass(frozen=True)
class NewImages:
    """The difference between the images of now and those of a frame.

    Attributes:
        image_ids: New images.
        patients: Number of patients with new images.
        relabeled: Images of the frame that have another label now, corrections included.
    """

    image_ids: tuple[str, ...]
    patients: int
    relabeled: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of new and relabeled images."""
        return len(self.image_ids) + len(self.relabeled)


def new_images_since(
    store: Store,
    images: pd.DataFrame,
    frame: Frame | None,
    *,
    folder: str,
    before: pd.DataFrame | None = None,
) -> NewImages:
    """Return the images that are new, or have another label, since a frame was made.

    Args:
        store: The object store, for corrected labels.
        images: The images table of now (sources): image_id, patient_key, malignant.
        frame: The champion's frame; None if there is no champion: every image is new then.
        folder: Folder of the feature store.
        before: The images table that the frame was made from: images that the frame leaves
            out (other splits, leaking patients) are not new. None if it no longer exists.
    """
    labels = dict(zip(images["image_id"], images["malignant"].astype(int), strict=True))
    rows = view_files.latest_rows(store, folder, IMAGE_LABEL)
    rows = rows[rows["label_origin"].isin([CORRECTION, LESIONS])]
    corrections = zip(rows["image_id"], rows["malignant"].astype(int), strict=True)
    labels.update({id: label for id, label in corrections if id in labels})
    # -1: an image of the frame's source that is not in the frame.
    old_labels: dict[str, int] = {}
    if before is not None:
        old_labels.update(dict.fromkeys(map(str, before["image_id"]), -1))
    if frame is not None:
        pairs = zip(frame.images["image_id"], frame.images["label"], strict=True)
        old_labels.update({str(id): int(label) for id, label in pairs})
    new = images[~images["image_id"].isin(set(old_labels))]
    relabeled = [id for id, label in labels.items() if old_labels.get(id, -1) not in (-1, label)]
    return NewImages(
        tuple(sorted(new["image_id"])), int(new["patient_key"].nunique()), tuple(sorted(relabeled))
    )
