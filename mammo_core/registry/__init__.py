"""The registry of models: versions, the champion, the gate before a push, and comparisons."""

from mammo_core.registry.gate import GateConfig, GateResult, decide
from mammo_core.registry.versions import (
    ChampionRef,
    PushResult,
    Resolved,
    VersionRef,
    champion,
    models,
    promote,
    push,
    resolve,
    resolve_version,
    rollback,
    versions,
)

__all__ = [
    "ChampionRef",
    "GateConfig",
    "GateResult",
    "PushResult",
    "Resolved",
    "VersionRef",
    "champion",
    "decide",
    "models",
    "promote",
    "push",
    "resolve",
    "resolve_version",
    "rollback",
    "versions",
]
