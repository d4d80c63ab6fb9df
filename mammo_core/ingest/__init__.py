"""The two Beam pipelines: mammograms to image records, image records to patches."""

from mammo_core.ingest.convert import (
    CONVERT_REVISION,
    ConvertConfig,
    convert,
    convert_id,
    convert_share,
)
from mammo_core.ingest.parts import Share
from mammo_core.ingest.runner import RunnerConfig
from mammo_core.ingest.sample import SAMPLE_REVISION, sample, sample_id, sample_share

__all__ = [
    "CONVERT_REVISION",
    "SAMPLE_REVISION",
    "ConvertConfig",
    "RunnerConfig",
    "Share",
    "convert",
    "convert_id",
    "convert_share",
    "sample",
    "sample_id",
    "sample_share",
]
