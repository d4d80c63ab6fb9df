"""Releasing a package: naming the version it becomes, and signing all of it."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mammo_core.errors import ModelError
from mammo_core.packaging.contents import RELEASE, SIGNATURE, Release, write_json
from mammo_core.packaging.package import OpenedPackage
from mammo_core.packaging.signatures.checksums import SUMS, read_sums, write_sums
from mammo_core.packaging.signatures.keys import SigningKey
from mammo_core.packaging.signatures.signing import sign
from mammo_core.packaging.signatures.trust import UNSIGNED

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
        ModelError: The key cannot be used, or a file of the package was changed meanwhile.
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
        _require_unchanged(package, read_sums(folder))
        yield folder


def _require_unchanged(package: OpenedPackage, released: Mapping[str, str]) -> None:
    """Require that what was signed is what was verified, file by file."""
    before, after = (
        {name: digest for name, digest in digests.items() if name not in _WRITTEN}
        for digests in (package.digests, released)
    )
    if before != after:
        names = sorted(name for name in before | after if before.get(name) != after.get(name))
        raise ModelError(
            f"The model package {package.folder.name} changed while it was released",
            expected="every file as it was verified",
            received=f"another {', '.join(names)}",
            hint="Find out who writes to it; nothing was published.",
        )


def _link_or_copy(source: str, target: str) -> str:
    """Networks have gigabytes: a second name for the file where the file system allows it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target
