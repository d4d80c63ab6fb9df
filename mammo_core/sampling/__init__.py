"""Sample patches: of lesions, of background, at bright blobs, and near lesions."""

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
