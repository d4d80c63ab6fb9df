"""Sample patches: of lesions, of background, at bright blobs, and near lesions."""

from typing import TYPE_CHECKING

from mammo_core.lazy import import_lazily

if TYPE_CHECKING:
    from mammo_core.sampling.config import GEOMETRIES, PRESETS, SamplingConfig
    from mammo_core.sampling.labels import FIVE_CLASSES, LABEL_MAPS, LabelMap
    from mammo_core.sampling.view import SampledView, sample_view

__all__ = [
    "FIVE_CLASSES",
    "GEOMETRIES",
    "LABEL_MAPS",
    "PRESETS",
    "LabelMap",
    "SampledView",
    "SamplingConfig",
    "sample_view",
]

import_lazily(
    __name__,
    {
        "config": ["GEOMETRIES", "PRESETS", "SamplingConfig"],
        "labels": ["FIVE_CLASSES", "LABEL_MAPS", "LabelMap"],
        "view": ["SampledView", "sample_view"],
    },
)
