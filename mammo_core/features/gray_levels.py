"""The gray levels of training images, as a frame keeps them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mammo_core.imaging.plausibility import DISTRIBUTED, Distribution, distribution_of
from mammo_core.ingest.record import MEASURE_PREFIX

if TYPE_CHECKING:
    import pandas as pd


def training_gray_levels(
    statistics: "pd.DataFrame", splits: Mapping[str, str]
) -> dict[str, Distribution]:
    """Return the distribution of each measure of gray levels over the training images.

    Args:
        statistics: The statistics table of an image dataset.
        splits: image_id → split.

    Returns:
        Measure → distribution; empty for a dataset without measures.
    """
    train = statistics[statistics["image_id"].map(splits) == "train"]
    names = [name for name in DISTRIBUTED if f"{MEASURE_PREFIX}{name}" in train]
    return distribution_of({name: train[f"{MEASURE_PREFIX}{name}"].tolist() for name in names})
