"""Releasing a package: naming the version it becomes, and signing all of it."""

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
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
    package: OpenedPackage,
    name: str,
    version: int,
    key: SigningKey | None,
    documents: Mapping[str, bytes] | None = None,
) -> Iterator[Path]:
    """Yield a folder with a package as a version of a model: release.json, signature, SHA256SUMS.

    Everything else is as in the package, whose own folder is not changed.

    Args:
        package: The package; a release and signature that it has are replaced.
        name: Name of the model.
        version: The version.
        key: Key to sign with; None: the version is unsigned, and says so.
        documents: Name → content of files that the release adds, or puts in place of those of an
            earlier release.

    Raises:
        ModelError: The key cannot be used, or a file of the package was changed meanwhile.
    """
    documents = documents or {}
    written = (*_WRITTEN, *documents)
    with tempfile.TemporaryDirectory(prefix="mammo-release-") as temporary:
        folder = Path(temporary) / package.folder.name
        shutil.copytree(
            package.folder,
            folder,
            copy_function=_link_or_copy,
            ignore=lambda parent, _: written if Path(parent) == package.folder else (),
        )
        release = Release(
            name=name,
            version=version,
            model_id=package.model_id,
            signed_by=key.public_id() if key is not None else UNSIGNED,
        )
        write_json(folder / RELEASE, release.model_dump(mode="json"))
        for file, content in documents.items():
            (folder / file).write_bytes(content)
        if key is not None:
            sign(folder, key)
        write_sums(folder)
        _require_unchanged(package, read_sums(folder), written)
        yield folder


def _require_unchanged(
    package: OpenedPackage, released: Mapping[str, str], written: Collection[str]
) -> None:
    """Require that what was signed is what was verified, file by file."""
    before, after = (
        {name: digest for name, digest in digests.items() if name not in written}
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
