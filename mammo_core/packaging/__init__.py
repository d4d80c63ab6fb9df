"""Model packages: a trained classifier with everything needed to use it."""

from mammo_core.packaging.build import build
from mammo_core.packaging.contents import PackageManifest, TrainingData
from mammo_core.packaging.package import Package, load, verify
from mammo_core.packaging.self_check import (
    SelfCheckResult,
    require_expected_outputs,
    self_check,
    self_check_in_new_process,
)
from mammo_core.packaging.signing import SigningKey

__all__ = [
    "Package",
    "PackageManifest",
    "SelfCheckResult",
    "SigningKey",
    "TrainingData",
    "build",
    "load",
    "require_expected_outputs",
    "self_check",
    "self_check_in_new_process",
    "verify",
]
