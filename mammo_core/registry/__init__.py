"""The registry of models: versions, the champion, the release gate and comparisons."""

from mammo_core.registry.champions import ChampionRef, champion, promote, rollback
from mammo_core.registry.gate import GateConfig, GateResult, decide
from mammo_core.registry.publishing import PushResult, push
from mammo_core.registry.resolution import ResolvedModel, resolve, resolve_version
from mammo_core.registry.versions import VersionRef, models, versions

__all__ = [
    "ChampionRef",
    "GateConfig",
    "GateResult",
    "PushResult",
    "ResolvedModel",
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
