"""Model packages: a trained classifier with everything needed to use it."""

from typing import TYPE_CHECKING

from mammo_core.lazy import import_lazily

if TYPE_CHECKING:
    from mammo_core.packaging.build import build
    from mammo_core.packaging.contents import PackageManifest, TrainingData
    from mammo_core.packaging.package import OpenedPackage, Package, load, verify
    from mammo_core.packaging.self_check import (
        SelfCheckResult,
        require_expected_outputs,
        self_check,
        self_check_in_new_process,
    )
    from mammo_core.packaging.signatures.keys import SigningKey
    from mammo_core.packaging.signatures.trust import TrustPolicy, signing_key

__all__ = [
    "OpenedPackage",
    "Package",
    "PackageManifest",
    "SelfCheckResult",
    "SigningKey",
    "TrainingData",
    "TrustPolicy",
    "build",
    "load",
    "require_expected_outputs",
    "self_check",
    "self_check_in_new_process",
    "signing_key",
    "verify",
]

import_lazily(
    __name__,
    {
        "build": ["build"],
        "contents": ["PackageManifest", "TrainingData"],
        "signatures.keys": ["SigningKey"],
        "package": ["OpenedPackage", "Package", "load", "verify"],
        "self_check": [
            "SelfCheckResult",
            "require_expected_outputs",
            "self_check",
            "self_check_in_new_process",
        ],
        "signatures.trust": ["TrustPolicy", "signing_key"],
    },
)
