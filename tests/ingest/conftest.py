import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from mammo_core.ingest.convert import ConvertConfig
from mammo_core.ingest.convert import convert as convert_files
from mammo_core.ingest.runner import RunnerConfig
from mammo_core.preprocessing import Geometry


@dataclass(frozen=True)
class Source:
    """A tree of files and its tables."""

    root: Path
    images: pd.DataFrame
    lesions: pd.DataFrame
    rejects: pd.DataFrame


def read_tables(root: Path) -> Source:
    from mammo_core.sources import SourceConfig, index

    tables = index(SourceConfig(adapter="cbis_ddsm", root=str(root)))
    return Source(root, tables.images, tables.lesions, tables.rejects)


def convert(store, source: Source, *, workers=1, height=96, width=72, shard_mb=1, **geometry):
    return convert_files(
        store,
        source.images,
        source.lesions,
        root=source.root,
        config=ConvertConfig(
            geometry=Geometry(height=height, width=width, **geometry), shard_mb=shard_mb
        ),
        runner=RunnerConfig(workers=workers),
        lineage={"tables": "t"},
    )


def digests(store, folder: str) -> dict[str, str]:
    return {key: hashlib.sha256(store.read(key)).hexdigest() for key in store.list(folder)}


@pytest.fixture(scope="session")
def phantom_tables(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Six patients; tests must not change the files."""
    from mammo_core.phantom import PhantomConfig, create

    root = tmp_path_factory.mktemp("ingest") / "tree"
    create(root, PhantomConfig(patients=6, seed=2, height=192, width=144), workers=1)
    return read_tables(root)


@pytest.fixture
def changeable(phantom_tables: Source, tmp_path: Path) -> Source:
    """A copy of the six patients' files."""
    import shutil
    from dataclasses import replace

    shutil.copytree(phantom_tables.root, tmp_path / "tree")
    return replace(phantom_tables, root=tmp_path / "tree")


@pytest.fixture(scope="session")
def work():
    """Helpers of the ingest tests."""
    from types import SimpleNamespace

    return SimpleNamespace(convert=convert, digests=digests, read_tables=read_tables, Source=Source)
