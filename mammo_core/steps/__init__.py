"""The steps of the pipelines: each reuses its output in the store, or makes and publishes it.

A step takes the record of a run and the manifests of its inputs and returns the manifest of its
output: `images = steps.convert(run, tables=tables)`. Every declared step is an attribute of this
package, imported on first use. `mammo_core.at_paths` has the same steps for Kubeflow Pipelines.
Nothing heavy is imported before a step has looked for its output.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mammo_core.discovery import module_names
from mammo_core.errors import RunError
from mammo_core.steps.begin import RunStart, begin
from mammo_core.steps.registry import get_step, registered_steps
from mammo_core.steps.step import declared_steps

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


__all__ = ["RunStart", "begin", "get_step", "registered_steps"]


class _Steps(ModuleType):
    """This package: its attributes are the declared steps, by the names of their functions."""

    def __getattr__(self, name: str) -> Any:
        """Import a step or a module; the package calls this where it has no such attribute."""
        if name in module_names(self.__name__):
            import_module(f"{self.__name__}.{name}")
            return self.__dict__[name]
        try:
            return get_step(name.replace("_", "-"))
        except RunError as error:
            raise AttributeError(f"module {self.__name__!r} has no step {name!r}") from error

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute; of a module and a step with its name, the step."""
        if isinstance(value, ModuleType):
            value = declared_steps().get(name.replace("_", "-"), value)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Steps
