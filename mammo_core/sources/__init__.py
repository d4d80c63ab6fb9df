"""Case tables and image trees in, tables of images and lesions out; splits and leaks."""

from mammo_core.sources.audit import audit
from mammo_core.sources.cases import TABLES, case_facts, leaking_patients, read_cases
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.index import SourceTables, index
from mammo_core.sources.splits import SplitConfig, SplitResult, assign

__all__ = [
    "TABLES",
    "SourceConfig",
    "SourceTables",
    "SplitConfig",
    "SplitResult",
    "assign",
    "audit",
    "case_facts",
    "index",
    "leaking_patients",
    "read_cases",
]
