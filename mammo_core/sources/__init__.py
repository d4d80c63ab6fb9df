"""Case tables and image trees in, tables of images and lesions out; splits and leaks."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# At once, as their modules have the same names; neither loads anything heavy.
from mammo_core.sources.audit import audit
from mammo_core.sources.index import index

if TYPE_CHECKING:
    from mammo_core.sources.cases import (
        TABLES,
        case_facts,
        leaking_patients,
        read_case_rows,
        read_cases,
    )
    from mammo_core.sources.config import SourceConfig
    from mammo_core.sources.source_files import SourceFiles
    from mammo_core.sources.source_tables import SourceTables
    from mammo_core.sources.splits import SplitConfig, SplitResult, assign

# Name → module. Loaded when asked for: counting the case tables needs no pandas and no codec.
_WHERE = {
    "TABLES": "cases",
    "SourceConfig": "config",
    "SourceFiles": "source_files",
    "SourceTables": "source_tables",
    "SplitConfig": "splits",
    "SplitResult": "splits",
    "assign": "splits",
    "case_facts": "cases",
    "leaking_patients": "cases",
    "read_case_rows": "cases",
    "read_cases": "cases",
}

__all__ = [
    "TABLES",
    "SourceConfig",
    "SourceFiles",
    "SourceTables",
    "SplitConfig",
    "SplitResult",
    "assign",
    "audit",
    "case_facts",
    "index",
    "leaking_patients",
    "read_case_rows",
    "read_cases",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value
