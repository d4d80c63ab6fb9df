"""A small source, its conversion, and digests of what a store contains."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mammo_core.datasets import Manifest
from mammo_core.ingest import ConvertConfig, RunnerConfig, convert
from mammo_core.preprocessing import Geometry
from mammo_core.store import Store


@dataclass(frozen=True)
class Source:
    """A tree of files and its tables."""

    root: Path
    images: pd.DataFrame
    lesions: pd.DataFrame
    rejects: pd.DataFrame


def read_tables(root: Path) -> Source:
    """Index a tree of CBIS-DDSM."""
    from mammo_core.sources import SourceConfig, index

    tables = index(SourceConfig(adapter="cbis_ddsm", root=str(root)))
    return Source(root, tables.images, tables.lesions, tables.rejects)


def convert_tables(
    store: Store,
    source: Source,
    *,
    workers: int = 1,
    height: int = 96,
    width: int = 72,
    shard_mb: int = 1,
    **geometry: str,
) -> Manifest:
    """Convert the images of a source to small records."""
    return convert(
        store,
        source.images,
        source.lesions,
        root=source.root,
        config=ConvertConfig(
            geometry=Geometry.model_validate({"height": height, "width": width, **geometry}),
            shard_mb=shard_mb,
        ),
        runner=RunnerConfig(workers=workers),
        lineage={"tables": "t"},
    )


def digests(store: Store, folder: str) -> dict[str, str]:
    """Return key → SHA-256 of everything in a folder of a store."""
    return {key: hashlib.sha256(store.read(key)).hexdigest() for key in store.list(folder)}
