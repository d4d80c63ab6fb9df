from pathlib import Path

import pytest

from mammo_core.phantom import PhantomConfig, create

SMALL = PhantomConfig(patients=20, seed=3, height=96, width=72, difficulty=0.5)


@pytest.fixture(scope="session")
def original_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantom") / "original"
    create(root, SMALL, workers=1)
    return root


@pytest.fixture(scope="session")
def nbia_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantom") / "nbia"
    create(root, SMALL.model_copy(update={"layout": "nbia"}), workers=1)
    return root
