"""Read collections of mammograms: tables of images and lesions, splits, leaks, the audit."""

from typing import TYPE_CHECKING

from mammo_core.lazy import import_lazily

if TYPE_CHECKING:
    from mammo_core.sources.adapter import (
        Adapter,
        get_adapter,
        register_adapter,
        registered_adapters,
    )
    from mammo_core.sources.auditing.audit import audit
    from mammo_core.sources.config import SourceConfig
    from mammo_core.sources.files.source_files import SourceFiles
    from mammo_core.sources.index import index
    from mammo_core.sources.splitting.splits import SplitConfig, SplitResult, assign
    from mammo_core.sources.tables.source_tables import SourceTables

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

import_lazily(
    __name__,
    {
        "adapter": ["Adapter", "get_adapter", "register_adapter", "registered_adapters"],
        "auditing.audit": ["audit"],
        "config": ["SourceConfig"],
        "index": ["index"],
        "files.source_files": ["SourceFiles"],
        "tables.source_tables": ["SourceTables"],
        "splitting.splits": ["SplitConfig", "SplitResult", "assign"],
    },
)
