"""Releasing a package: naming the version it becomes, and signing all of it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mammo_core.packaging.checksums import SUMS, write_sums
from mammo_core.packaging.contents import RELEASE, SIGNATURE, Release, write_json
from mammo_core.packaging.keys import SigningKey
from mammo_core.packaging.package import OpenedPackage
from mammo_core.packaging.signing import sign
from mammo_core.packaging.trust import UNSIGNED

_WRITTEN = (RELEASE, SIGNATURE, SUMS)


@contextmanager
def released(
    package: OpenedPackage, name: str, version: int, key: SigningKey | None
) -> Iterator[Path]:
    """Yield a folder with a package as a version of a model: release.json, signature, SHA256SUMS.

    Everything else is as in the package, whose own folder is not changed.

    Args:
        package: The package; a release and signature that it has are replaced.
        name: Name of the model.
        version: The version.
        key: Key to sign with; None: the version is unsigned, and says so.

    Raises:
        ModelError: The key cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="mammo-release-") as temporary:
        folder = Path(temporary) / package.folder.name
        shutil.copytree(
            package.folder,
            folder,
            copy_function=_link_or_copy,
            ignore=lambda parent, _: _WRITTEN if Path(parent) == package.folder else (),
        )
        release = Release(
            name=name,
            version=version,
            model_id=package.model_id,
            signed_by=key.public_id() if key is not None else UNSIGNED,
        )
        write_json(folder / RELEASE, release.model_dump(mode="json"))
        if key is not None:
            sign(folder, key)
        write_sums(folder)
        yield folder


def _link_or_copy(source: str, target: str) -> str:
    """Networks have gigabytes: a second name for the file where the file system allows it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target
