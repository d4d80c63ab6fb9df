"""The kinds of datasets. Their revisions are raised when the bytes of records change.

A golden-bytes test fails when that was forgotten.
"""

from typing import Literal

from mammo_core.datasets import Manifest
from mammo_core.datasets.kinds import Facts, Kind, register_kind
from mammo_core.preprocessing import Conversion, Geometry


class ImageDatasetFacts(Facts):
    """Facts of an image dataset.

    Attributes:
        bit_depth: Bits of a pixel of the records.
        geometry: Size of the records and how it was reached.
        conversion: What was done to images before they were resized.
        series: Id of the datasets with the same settings, which share records.
    """

    bit_depth: Literal[8, 16]
    geometry: Geometry
    conversion: Conversion = Conversion()
    series: str = ""


class PatchDatasetFacts(ImageDatasetFacts):
    """Facts of a patch dataset: those of its images, and the size of the patches.

    Attributes:
        patch_size: Side of a patch in pixels.
    """

    patch_size: int


IMAGE_DATASET = register_kind(
    Kind("datasets/images", 6, ImageDatasetFacts, intermediate=True, record_id="image_id")
)
PATCH_DATASET = register_kind(
    Kind("datasets/patches", 4, PatchDatasetFacts, intermediate=True, record_id="patch_id")
)


def dataset_facts(dataset: Manifest) -> ImageDatasetFacts:
    """Return the facts of an image dataset, or what the facts of its patches say about it."""
    if dataset.kind == PATCH_DATASET.folder:
        return PATCH_DATASET.facts_of(dataset)
    return IMAGE_DATASET.facts_of(dataset)
