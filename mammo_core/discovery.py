"""How registries find their modules: those of a package of ours, and those of entry points.

Adapters, networks, metrics, steps and kinds of outputs register themselves when their module is
imported. A new one is a module in the folder of its registry; another package names its module
in an entry point group, so that every process imports it.
"""

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pkgutil import iter_modules


def module_names(package: str) -> list[str]:
    """Return the names of the modules in a package, sorted."""
    return sorted(module.name for module in iter_modules(import_module(package).__path__))


@cache
def import_modules(package: str) -> None:
    """Import every module of a package, once."""
    for name in module_names(package):
        import_module(f"{package}.{name}")


@cache
def import_from_packages(package: str, module: str) -> None:
    """Import the module of that name from every package within a package that has one, once."""
    for inner in iter_modules(import_module(package).__path__, f"{package}."):
        if inner.ispkg and find_spec(f"{inner.name}.{module}") is not None:
            import_module(f"{inner.name}.{module}")


@cache
def import_entry_points(group: str) -> None:
    """Import what the entry points of a group name, once."""
    for entry in entry_points(group=group):
        entry.load()
