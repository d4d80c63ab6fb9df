"""The registry of models: versions, the champion, the release gate and comparisons."""

from typing import TYPE_CHECKING

from mammo_core.lazy import import_lazily

if TYPE_CHECKING:
    from mammo_core.registry.champion_entries import ChampionEntry, read_entries
    from mammo_core.registry.champions import ChampionRef, champion
    from mammo_core.registry.config import GateConfig
    from mammo_core.registry.gate import GateResult, decide
    from mammo_core.registry.opening import (
        open_candidate,
        open_for_push,
        open_package,
        open_version,
    )
    from mammo_core.registry.promotion import promote, rollback
    from mammo_core.registry.publishing import PushResult, push
    from mammo_core.registry.versions import VersionRef, models, versions

__all__ = [
    "ChampionEntry",
    "ChampionRef",
    "GateConfig",
    "GateResult",
    "PushResult",
    "VersionRef",
    "champion",
    "decide",
    "models",
    "open_candidate",
    "open_for_push",
    "open_package",
    "open_version",
    "promote",
    "push",
    "read_entries",
    "rollback",
    "versions",
]

import_lazily(
    __name__,
    {
        "champion_entries": ["ChampionEntry", "read_entries"],
        "champions": ["ChampionRef", "champion"],
        "config": ["GateConfig"],
        "gate": ["GateResult", "decide"],
        "opening": ["open_candidate", "open_for_push", "open_package", "open_version"],
        "promotion": ["promote", "rollback"],
        "publishing": ["PushResult", "push"],
        "versions": ["VersionRef", "models", "versions"],
    },
)
