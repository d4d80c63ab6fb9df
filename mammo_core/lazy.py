"""Packages whose names are imported on first use, so that reading a recipe stays fast."""

import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


class _LazyPackage(ModuleType):
    """A package with names that it imports when they are first read.

    Attributes:
        lazy_names: Name → the module within the package that has it.
    """

    lazy_names: Mapping[str, str]

    def __getattr__(self, name: str) -> Any:
        """Import a name; the package calls this where it has no such attribute."""
        names = self.__dict__["lazy_names"]
        if name not in names:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{self.__name__}.{names[name]}"), name)
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, but no module in place of a name: `build` stays the function."""
        if not (isinstance(value, ModuleType) and name in self.__dict__["lazy_names"]):
            super().__setattr__(name, value)


def import_lazily(package: str, modules: Mapping[str, Iterable[str]]) -> None:
    """Let a package import names from its modules when they are first read.

    Type checkers read the same names from imports under `TYPE_CHECKING`.

    Args:
        package: Its `__name__`.
        modules: Module within the package → the names that the package has from it.
    """
    names = {name: module for module, listed in modules.items() for name in listed}
    loaded = sys.modules[package]
    loaded.__dict__["lazy_names"] = names
    loaded.__class__ = _LazyPackage
