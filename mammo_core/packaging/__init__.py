"""Model packages: a trained classifier with everything it takes to use it, and where they live.

`python -m mammo_core.packaging.selfcheck FOLDER` runs `selfcheck` in a process of its own.
"""

from mammo_core.packaging.build import build
from mammo_core.packaging.contents import PackageManifest, TrainingData
from mammo_core.packaging.fresh import check_in_fresh_process
from mammo_core.packaging.gate import GateConfig, GateResult, decide
from mammo_core.packaging.package import (
    Package,
    SelfCheck,
    check_expected,
    load,
    selfcheck,
    verify,
)
from mammo_core.packaging.registry import (
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
from mammo_core.packaging.signing import SigningKey

__all__ = [
    "ChampionRef",
    "GateConfig",
    "GateResult",
    "Package",
    "PackageManifest",
    "PushResult",
    "Resolved",
    "SelfCheck",
    "SigningKey",
    "TrainingData",
    "VersionRef",
    "build",
    "champion",
    "check_expected",
    "check_in_fresh_process",
    "decide",
    "load",
    "models",
    "promote",
    "push",
    "resolve",
    "resolve_version",
    "rollback",
    "selfcheck",
    "verify",
    "versions",
]
