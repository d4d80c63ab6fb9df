"""Which room may import which, and which imports are not allowed at all."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parent.parent / "mammo_core"
# From the ground up; a room imports only rooms before it (docs/architecture.md).
ROOMS = [
    "errors",
    "lazy",
    "discovery",
    "documents",
    "csv_cells",
    "seeds",
    "processes",
    "progress",
    "store",
    "reporting",
    "metrics",
    "imaging",
    "preprocessing",
    "dicom",
    "datasets",
    "tracking",
    "sources",
    "phantom",
    "sampling",
    "ingest",
    "features",
    "models",
    "training",
    "evaluation",
    "packaging",
    "registry",
    "scoring",
    "duel",
    "results",
    "serving",
    "acceptance",
    "monitoring",
    "recipes",
    "runs",
    "steps",
    "at_paths",
    "experiments",
    "reference",
    "cli",
]
DATA_PATH = ["store", "imaging", "dicom", "datasets", "sources", "phantom", "sampling", "ingest"]


def _room(path: Path) -> str:
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            if node.module == "mammo_core":
                names.update(f"mammo_core.{alias.name}" for alias in node.names)
    return names


FILES = sorted(
    path for path in LIBRARY.rglob("*.py") if path.parent != LIBRARY or path.stem != "__init__"
)


def test_every_room_is_in_the_list():
    assert {_room(path) for path in FILES} <= set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_a_room_imports_only_rooms_above_it(path):
    position = ROOMS.index(_room(path))
    for name in _imports(path):
        if name.startswith("mammo_core."):
            room = name.split(".")[1]
            assert room not in ROOMS or ROOMS.index(room) <= position, name
        assert name.split(".")[0] not in ("kfp", "pipelines", "components"), name


def test_only_readers_and_the_saved_model_import_tensorflow():
    users = {
        str(path.relative_to(LIBRARY))
        for path in FILES
        if any(name.split(".")[0] == "tensorflow" for name in _imports(path))
    }
    assert users == {
        "datasets/readers.py",
        "datasets/streaming.py",
        "datasets/tfio.py",
        "packaging/tensorflow_export.py",
        "training/memory/replicas.py",
    }


def test_only_features_import_feast():
    users = {_room(p) for p in FILES if any(n.split(".")[0] == "feast" for n in _imports(p))}
    assert users == {"features"}


def test_the_data_path_loads_no_heavy_library():
    modules = ", ".join(f"mammo_core.{room}" for room in [*DATA_PATH, "features", "steps"])
    code = f"import sys, {modules}; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    heavy = {"tensorflow", "keras", "feast", "apache_beam", "sklearn", "matplotlib", "kfp"}
    assert not loaded & heavy


def test_no_file_is_long():
    repository = LIBRARY.parent
    paths = [
        p
        for name in ("mammo_core", "pipelines", "components")
        for p in (repository / name).rglob("*.py")
    ]
    lines = {
        str(path.relative_to(repository)): len(path.read_text().splitlines()) for path in paths
    }
    assert {name: count for name, count in lines.items() if count > 350} == {}
