"""The two Beam pipelines: mammograms to image records, image records to patches."""

from typing import TYPE_CHECKING

from mammo_core.lazy import import_lazily

if TYPE_CHECKING:
    from mammo_core.ingest.config import ConvertConfig
    from mammo_core.ingest.convert import convert, convert_id, convert_partition, make_images
    from mammo_core.ingest.other_files import other_files, view_ids
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
    "other_files",
    "sample",
    "sample_id",
    "sample_partition",
    "view_ids",
]

import_lazily(
    __name__,
    {
        "config": ["ConvertConfig"],
        "convert": ["convert", "convert_id", "convert_partition", "make_images"],
        "other_files": ["other_files", "view_ids"],
        "partition": ["Partition"],
        "runner": ["RunnerConfig"],
        "sample": ["make_patches", "sample", "sample_id", "sample_partition"],
    },
)
