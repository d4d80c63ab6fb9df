"""Datasets: manifests, tables, records, shards, and the readers for training."""

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
