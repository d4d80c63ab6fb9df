"""Model packages: a trained classifier with everything it takes to use it.

`python -m mammo_core.packaging.selfcheck FOLDER` runs `selfcheck` in a process of its own.
"""

from mammo_core.packaging.build import build
from mammo_core.packaging.contents import PackageManifest, TrainingData
from mammo_core.packaging.fresh import check_in_fresh_process
from mammo_core.packaging.package import (
    Package,
    SelfCheck,
    check_expected,
    load,
    selfcheck,
    verify,
)
from mammo_core.packaging.signing import SigningKey

__all__ = [
    "Package",
    "PackageManifest",
    "SelfCheck",
    "SigningKey",
    "TrainingData",
    "build",
    "check_expected",
    "check_in_fresh_process",
    "load",
    "selfcheck",
    "verify",
]
