"""Images of a dataset that show the same picture, and the patients they link."""

import base64
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mammo_core.datasets import Manifest
from mammo_core.datasets.manifests import fetch_verified
from mammo_core.store import Store

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

#: The column of an image dataset's statistics with the digests; nothing else reads it.
PICTURE: Final = "picture"
#: Other patients whose pictures one may be a copy of. A picture like those of more has nothing of
#: its own to compare: a flat one, a test pattern, a drawing.
_MOST_PATIENTS: Final = 4
#: Rows of the statistics that are read at a time.
_ROWS: Final = 16_384


@dataclass(frozen=True)
class Duplicates:
    """Copies among the images of a dataset.

    Attributes:
        pairs: Ids of two images that show the same picture, sorted.
        links: Patient → the one who stands for all patients linked with her.
        indistinct: Images that look like those of more than four other patients; they link nobody.
    """

    pairs: tuple[tuple[str, str], ...]
    links: dict[str, str]
    indistinct: int = 0

    @property
    def facts(self) -> dict[str, int]:
        """Numbers of images with a copy, of pairs, of patients who share a picture, of others."""
        images = {image_id for pair in self.pairs for image_id in pair}
        counts = {"images": len(images), "pairs": len(self.pairs), "patients": len(self.links)}
        return {**counts, "indistinct": self.indistinct}


def find_duplicates(store: Store, dataset: Manifest, images: "pd.DataFrame") -> Duplicates:
    """Find the images that show the same picture: saved again, resized, flipped, cut, brightened.

    Args:
        store: The object store.
        dataset: The image dataset, whose statistics have the digests.
        images: image_id, patient_key of the images to compare.
    """
    from mammo_core.sources.duplicates.pairs import same_pictures
    from mammo_core.sources.splitting.linked_sides import link_patients

    patients = dict(zip(images["image_id"], images["patient_key"].astype(str), strict=True))
    image_ids, digests = _read_digests(store, dataset, patients.keys())
    positions = same_pictures(digests)
    pairs = sorted(tuple(sorted((image_ids[one], image_ids[other]))) for one, other in positions)
    resembled: dict[str, set[str]] = defaultdict(set)
    for one, other in pairs:
        resembled[one].add(patients[other])
        resembled[other].add(patients[one])
    indistinct = {
        image_id
        for image_id, others in resembled.items()
        if len(others - {patients[image_id]}) > _MOST_PATIENTS
    }
    kept = tuple((one, other) for one, other in pairs if not {one, other} & indistinct)
    links = link_patients((patients[one], patients[other]) for one, other in kept)
    return Duplicates(kept, links, len(indistinct))


def _read_digests(
    store: Store, dataset: Manifest, image_ids: Collection[str]
) -> "tuple[list[str], npt.NDArray[np.uint8]]":
    """Read the digests of images, a part of the table at a time."""
    import numpy as np
    import pyarrow.parquet as pq

    from mammo_core.imaging.picture_digest import DIGEST_BYTES

    known: list[str] = []
    path = fetch_verified(store, dataset.file("statistics.parquet"))
    with pq.ParquetFile(path, pre_buffer=False) as file:
        columns = ["image_id", PICTURE]
        digests = np.empty((file.metadata.num_rows, DIGEST_BYTES), np.uint8)
        for batch in file.iter_batches(_ROWS, columns=columns, use_threads=False):
            ids, texts = (batch.column(name).to_pylist() for name in columns)
            rows = [row for row in zip(ids, texts, strict=True) if row[0] in image_ids]
            joined = base64.b64decode("".join(text for _, text in rows))
            part = np.frombuffer(joined, np.uint8).reshape(-1, DIGEST_BYTES)
            digests[len(known) : len(known) + len(rows)] = part
            known += [image_id for image_id, _ in rows]
    return known, digests[: len(known)]
