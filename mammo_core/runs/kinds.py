"""The kinds of outputs that a store can contain.

A kind is declared and registered in the module `kinds` of the room that makes its outputs, or
beside the step that makes them. Another package registers its kinds when its module is imported;
the entry point groups `mammo.kinds` and `mammo.steps` name such modules for every process.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mammo_core.datasets.kinds import Kind, registered_kinds
from mammo_core.discovery import import_entry_points, import_from_packages, import_modules

_LIBRARY: Final = "mammo_core"
#: Its modules may declare kinds beside their steps.
_STEPS: Final = "mammo_core.steps"
_ENTRY_POINTS: Final = ("mammo.kinds", "mammo.steps")


class _Kinds(Mapping[str, Kind[Any]]):
    """Folder → kind, discovered on first use."""

    def __getitem__(self, folder: str) -> Kind[Any]:
        _discover()
        return registered_kinds()[folder]

    def __iter__(self) -> Iterator[str]:
        _discover()
        return iter(registered_kinds())

    def __len__(self) -> int:
        _discover()
        return len(registered_kinds())


#: Every kind by its folder.
KINDS: Final = _Kinds()


def _discover() -> None:
    """Import every module that declares kinds; each registers itself."""
    import_from_packages(_LIBRARY, "kinds")
    import_modules(_STEPS)
    for group in _ENTRY_POINTS:
        import_entry_points(group)
