"""A small source, its conversion, and digests of what a store contains."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mammo_core.datasets import Manifest, parse
from mammo_core.ingest import ConvertConfig, RunnerConfig, convert
from mammo_core.preprocessing import Geometry
from mammo_core.store import Store

#: The part of a key that names the attempt, and that of a worker.
_ATTEMPT = re.compile(rb"/\d+-[0-9a-f]{8}(-[0-9a-f]{8})?/")


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
    """Return key → SHA-256 of everything in a folder of a store, whichever attempts wrote it.

    Keys, also those in manifests, are without the part that names the attempt. A file that two
    attempts have left is there twice.
    """
    contents: dict[str, str] = {}
    for key in store.list(folder):
        data = store.read(key)
        if key.endswith("/manifest.json"):
            data = _ATTEMPT.sub(b"/", data)
        name = without_attempt(key)
        while name in contents:
            name += " again"
        contents[name] = hashlib.sha256(data).hexdigest()
    return contents


def published_digests(store: Store) -> dict[str, str]:
    """Return what `digests` does, but only of the manifests and of the files that they name."""
    contents = {}
    for key in store.list(""):
        if key.endswith("/manifest.json"):
            data = store.read(key)
            contents[without_attempt(key)] = hashlib.sha256(_ATTEMPT.sub(b"/", data)).hexdigest()
            for file in parse(data, key).files:
                digest = hashlib.sha256(store.read(file.key)).hexdigest()
                contents[without_attempt(file.key)] = digest
    return contents


def without_attempt(key: str) -> str:
    """Return a key without the part that names the attempt."""
    return _ATTEMPT.sub(b"/", key.encode()).decode()


def without_attempts(manifest: Manifest) -> Manifest:
    """Return a manifest whose keys are the same whichever attempt published it."""
    files = tuple(
        file.model_copy(update={"key": without_attempt(file.key)}) for file in manifest.files
    )
    return manifest.model_copy(update={"files": files})
