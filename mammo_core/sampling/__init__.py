"""Where patches come from: lesions, background, blobs, the surroundings of lesions."""

from mammo_core.sampling.config import PRESETS, SamplingConfig
from mammo_core.sampling.view import SampledView, sample_view

__all__ = ["PRESETS", "SampledView", "SamplingConfig", "sample_view"]
