"""Datasets: manifests, tables, records, shards, and the readers for training."""

from typing import TYPE_CHECKING

from mammo_core.lazy import import_lazily

if TYPE_CHECKING:
    from mammo_core.datasets.batches import Batch, BatchSource
    from mammo_core.datasets.manifests import Manifest, StoredFile, content_id, find, parse, publish
    from mammo_core.datasets.records import ImageRecord, LesionMask, PatchRecord

__all__ = [
    "Batch",
    "BatchSource",
    "ImageRecord",
    "LesionMask",
    "Manifest",
    "PatchRecord",
    "StoredFile",
    "content_id",
    "find",
    "parse",
    "publish",
]

import_lazily(
    __name__,
    {
        "batches": ["Batch", "BatchSource"],
        "manifests": ["Manifest", "StoredFile", "content_id", "find", "parse", "publish"],
        "records": ["ImageRecord", "LesionMask", "PatchRecord"],
    },
)
