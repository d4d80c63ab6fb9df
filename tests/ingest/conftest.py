from pathlib import Path

import pytest

from tests.support.ingest import Source, read_tables


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
