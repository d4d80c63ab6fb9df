"""Packages that import their names on first use."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parent.parent / "mammo_core"
PACKAGES = sorted(
    ".".join(path.parent.relative_to(LIBRARY.parent).parts)
    for path in LIBRARY.rglob("__init__.py")
    if "import_lazily(" in path.read_text()
)


def typed_names(package):
    """Name → module, as a type checker reads them."""
    tree = ast.parse(Path(import_module(package).__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {
        alias.name: node.module.removeprefix(f"{package}.")
        for node in imports
        if node.module.startswith(f"{package}.")
        for alias in node.names
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_names_at_run_time_are_those_of_the_type_checker(package):
    module = import_module(package)
    assert module.lazy_names == typed_names(package)
    assert sorted(module.__all__) == sorted(module.lazy_names)
    for name, origin in module.lazy_names.items():
        assert getattr(module, name) is getattr(sys.modules[f"{package}.{origin}"], name)


def test_a_module_never_replaces_a_function_of_the_same_name():
    code = (
        "from mammo_core.imaging.resize import output_size\n"
        "from mammo_core import imaging\n"
        "import mammo_core.imaging.resize\n"
        "assert callable(imaging.resize) and imaging.resize.__name__ == 'resize'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_error():
    package = import_module("mammo_core.imaging")
    with pytest.raises(AttributeError, match="has no attribute 'sharpen'"):
        package.sharpen  # noqa: B018
    with pytest.raises(ImportError):
        exec("from mammo_core.imaging import sharpen", {})
