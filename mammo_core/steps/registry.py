"""The registry of steps: each is declared in a module of this package, or of another one.

A step is looked for in the module of its name first, so that a task imports little more than its
own step. Another package registers its steps when its module is imported; the entry point group
`mammo.steps` names such modules for every process.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Final

from mammo_core.discovery import import_entry_points, import_modules, module_names
from mammo_core.errors import RunError
from mammo_core.steps.step import Step, declared_steps

_PACKAGE: Final = "mammo_core.steps"
_ENTRY_POINTS: Final = "mammo.steps"


def get_step(name: str) -> Step:
    """Return a declared step.

    Args:
        name: Its name.

    Raises:
        RunError: There is no such step.
    """
    module = name.replace("-", "_")
    if name not in declared_steps() and module in module_names(_PACKAGE):
        import_module(f"{_PACKAGE}.{module}")
    if name not in declared_steps():
        import_modules(_PACKAGE)
    if name not in declared_steps():
        import_entry_points(_ENTRY_POINTS)
    if name not in declared_steps():
        raise RunError(
            f"There is no step {name!r}",
            expected=", ".join(registered_steps()),
            received=repr(name),
            hint="import the module that declares the step first",
        )
    return declared_steps()[name]


def registered_steps() -> Mapping[str, Step]:
    """Return all steps by name, sorted."""
    import_modules(_PACKAGE)
    import_entry_points(_ENTRY_POINTS)
    return dict(sorted(declared_steps().items()))
