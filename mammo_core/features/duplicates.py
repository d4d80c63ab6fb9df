"""Images of a dataset that show the same picture, and the patients they link."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mammo_core.datasets import Manifest
from mammo_core.datasets.tables import read_table
from mammo_core.store import Store

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Duplicates:
    """Copies among the images of a dataset.

    Attributes:
        pairs: Ids of two images that show the same picture, sorted.
        links: Patient → the one who stands for all patients linked with her.
    """

    pairs: tuple[tuple[str, str], ...]
    links: dict[str, str]

    @property
    def facts(self) -> dict[str, int]:
        """Numbers of images with a copy, of pairs, and of patients who share a picture."""
        images = {image_id for pair in self.pairs for image_id in pair}
        return {"images": len(images), "pairs": len(self.pairs), "patients": len(self.links)}


def find_duplicates(store: Store, dataset: Manifest, images: "pd.DataFrame") -> Duplicates:
    """Find the images that show the same picture: saved again, resized, flipped, cut, brightened.

    Args:
        store: The object store.
        dataset: The image dataset, whose statistics have the digests.
        images: image_id, patient_key of the images to compare.
    """
    statistics = read_table(store, dataset, "statistics.parquet", ["image_id", "picture"])
    if "picture" not in statistics:
        return Duplicates((), {})
    statistics = statistics[statistics["image_id"].isin(set(images["image_id"]))]
    digests = [base64.b64decode(text) for text in statistics["picture"]]
    return duplicates_of(list(statistics["image_id"]), digests, images)


def duplicates_of(
    image_ids: Sequence[str], digests: Sequence[bytes], images: "pd.DataFrame"
) -> Duplicates:
    """Find the images that show the same picture.

    Args:
        image_ids: The images.
        digests: Their digests (`imaging.picture_digest`), in the same order.
        images: image_id, patient_key.
    """
    from mammo_core.sources.duplicates.pairs import same_pictures
    from mammo_core.sources.splitting.linked_sides import link_patients

    found = same_pictures(digests)
    pairs = sorted(tuple(sorted((image_ids[one], image_ids[other]))) for one, other in found)
    patients = dict(zip(images["image_id"], images["patient_key"].astype(str), strict=True))
    links = link_patients((patients[one], patients[other]) for one, other in pairs)
    return Duplicates(tuple((one, other) for one, other in pairs), links)
