"""Model packages: a trained classifier with everything it takes to use it, and where they live.

`python -m mammo_core.packaging.selfcheck FOLDER` runs `selfcheck` in a process of its own.
"""

from mammo_core.packaging.build import build
from mammo_core.packaging.contents import PackageManifest, TrainingData
from mammo_core.packaging.gate import GateConfig, GateResult, decide
from mammo_core.packaging.package import Package, SelfCheck, load, selfcheck, verify
from mammo_core.packaging.registry import (
    ChampionRef,
    PushResult,
    VersionRef,
    champion,
    models,
    promote,
    push,
    resolve,
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
    "SelfCheck",
    "SigningKey",
    "TrainingData",
    "VersionRef",
    "build",
    "champion",
    "decide",
    "load",
    "models",
    "promote",
    "push",
    "resolve",
    "rollback",
    "selfcheck",
    "verify",
    "versions",
]
