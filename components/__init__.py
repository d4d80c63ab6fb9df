"""KFP components: each body is one call into `mammo_core.steps`.

The component of a step is in the folder of its name, and an attribute of this package: it is
imported on first use.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


class _Components(ModuleType):
    """This package: its attributes are the components, by the names of their functions."""

    def __getattr__(self, name: str) -> Any:
        """Import a component; the package calls this where it has no such attribute."""
        folder = None if name.startswith("_") else find_spec(f"{self.__name__}.{name}")
        if folder is None or folder.submodule_search_locations is None:
            raise AttributeError(f"module {self.__name__!r} has no component {name!r}")
        component = getattr(import_module(f"{self.__name__}.{name}.component"), name)
        setattr(self, name, component)
        return component

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute, but no folder in place of its component."""
        if not (isinstance(value, ModuleType) and hasattr(value, "__path__")):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Components
