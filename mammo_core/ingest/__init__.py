"""The two Beam pipelines: mammograms to image records, image records to patches."""

from mammo_core.ingest.convert import (
    ConvertConfig,
    convert,
    convert_id,
    convert_partition,
    make_images,
)
from mammo_core.ingest.partition import Partition
from mammo_core.ingest.runner import RunnerConfig
from mammo_core.ingest.sample import make_patches, sample, sample_id, sample_partition

__all__ = [
    "ConvertConfig",
    "Partition",
    "RunnerConfig",
    "convert",
    "convert_id",
    "convert_partition",
    "make_images",
    "make_patches",
    "sample",
    "sample_id",
    "sample_partition",
]
