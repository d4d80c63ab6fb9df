"""The two Beam pipelines: mammograms to image records, image records to patches."""

from mammo_core.ingest.convert import CONVERT_REVISION, ConvertConfig, convert, convert_id
from mammo_core.ingest.runner import RunnerConfig
from mammo_core.ingest.sample import SAMPLE_REVISION, sample, sample_id

__all__ = [
    "CONVERT_REVISION",
    "SAMPLE_REVISION",
    "ConvertConfig",
    "RunnerConfig",
    "convert",
    "convert_id",
    "sample",
    "sample_id",
]
