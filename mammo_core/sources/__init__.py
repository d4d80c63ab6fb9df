"""Read collections of mammograms: tables of images and lesions, splits, leaks, the audit."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Imported here, as their modules have the same names; neither loads anything heavy.
from mammo_core.sources.audit import audit
from mammo_core.sources.index import index

if TYPE_CHECKING:
    from mammo_core.sources.adapter import (
        Adapter,
        get_adapter,
        register_adapter,
        registered_adapters,
    )
    from mammo_core.sources.config import SourceConfig
    from mammo_core.sources.source_files import SourceFiles
    from mammo_core.sources.source_tables import SourceTables
    from mammo_core.sources.splits import SplitConfig, SplitResult, assign

# Name → module, loaded on first use: counting case tables needs no pandas and no codec.
_MODULES = {
    "Adapter": "adapter",
    "SourceConfig": "config",
    "SourceFiles": "source_files",
    "SourceTables": "source_tables",
    "SplitConfig": "splits",
    "SplitResult": "splits",
    "registered_adapters": "adapter",
    "assign": "splits",
    "get_adapter": "adapter",
    "register_adapter": "adapter",
}

__all__ = [
    "Adapter",
    "SourceConfig",
    "SourceFiles",
    "SourceTables",
    "SplitConfig",
    "SplitResult",
    "assign",
    "audit",
    "get_adapter",
    "index",
    "register_adapter",
    "registered_adapters",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
