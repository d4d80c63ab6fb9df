"""What is new since a frame was made."""

from dataclasses import dataclass

import pandas as pd

from mammo_core.features import parts
from mammo_core.features.definitions import IMAGE_LABEL
from mammo_core.features.frame import Frame
from mammo_core.store import Store


@dataclass(frozen=True)
class News:
    """What is new.

    Attributes:
        image_ids: Images that the frame's source did not have.
        patients: How many patients they are of.
        relabelled: Images of the frame that have another label now, corrections included.
    """

    image_ids: tuple[str, ...]
    patients: int
    relabelled: tuple[str, ...]

    @property
    def count(self) -> int:
        """New and relabelled images."""
        return len(self.image_ids) + len(self.relabelled)


def news_since(
    store: Store,
    images: pd.DataFrame,
    frame: Frame | None,
    *,
    folder: str,
    before: pd.DataFrame | None = None,
) -> News:
    """Return which images are new, or have another label, since a frame was made.

    Args:
        store: The object store: corrected labels are looked up there.
        images: The images table of now (sources): image_id, patient_key, malignant.
        frame: The champion's frame; None when there is none: everything is new then.
        folder: Folder of the feature store.
        before: The images table that the frame came from: images that the frame leaves out
            (other splits, leaking patients) are not new. None where it is gone.
    """
    labels = dict(zip(images["image_id"], images["malignant"].astype(int), strict=True))
    known = parts.latest(store, folder, IMAGE_LABEL)
    corrected = known[known["label_origin"].isin(["correction", "lesions"])]
    told = zip(corrected["image_id"], corrected["malignant"].astype(int), strict=True)
    labels.update({id: label for id, label in told if id in labels})
    seen: dict[str, int] = {}
    if before is not None:
        seen.update(dict.fromkeys(map(str, before["image_id"]), -1))
    if frame is not None:
        rows = zip(frame.images["image_id"], frame.images["label"], strict=True)
        seen.update({str(id): int(label) for id, label in rows})
    new = images[~images["image_id"].isin(set(seen))]
    changed = [id for id, label in labels.items() if seen.get(id, -1) not in (-1, label)]
    return News(
        tuple(sorted(new["image_id"])), int(new["patient_key"].nunique()), tuple(sorted(changed))
    )
