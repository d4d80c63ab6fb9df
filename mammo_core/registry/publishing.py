"""Pushing a package: publishing it as the next version of a model."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mammo_core.errors import StoreError
from mammo_core.packaging.checksums import SUMS, digest, read_sums
from mammo_core.packaging.contents import SAVED_MODEL
from mammo_core.packaging.package import verify
from mammo_core.registry.champions import advance
from mammo_core.registry.versions import (
    PublishedMarker,
    marker_key,
    require_name,
    to_file,
    version_folder,
    version_uri,
    versions,
)
from mammo_core.store import Store, require_conditional_writes


class PushResult(BaseModel):
    """The result of a push.

    Attributes:
        version: Version of the model in the registry.
        uri: URI of that version.
        new: False if this very model had been published before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    uri: str
    new: bool


def push(store: Store, folder: Path, name: str, *, public_key: Path | None = None) -> PushResult:
    """Publish a package as the next version of a model, and as its champion.

    Pushing a model that is already a version creates no new version. The champion only moves
    forward, so after two concurrent pushes the later version is the champion. A version that
    was rolled back stays withdrawn until it is promoted.

    Args:
        store: Where the registry is.
        folder: Folder of the package.
        name: Name of the model.
        public_key: PEM file of the key the package must be signed by; None accepts any.

    Raises:
        ModelError: The package's verification fails, or the name is invalid.
        StoreError: The store fails, has no conditional writes, or returns other bytes than
            were written.
    """
    require_name(name)
    model_id = verify(folder, public_key).model_id
    require_conditional_writes(store)
    marker = PublishedMarker(model_id=model_id, sums=digest(folder / SUMS))
    # The lease makes this the only push; if it is lost, the claims still keep two pushes apart.
    with store.lease(f"models/{name}") as lease:
        published = [ref.version for ref in versions(store, name) if ref.model_id == model_id]
        number = published[0] if published else _claim(store, name, marker)
        new = False
        if not published:
            _copy(store, folder, version_folder(name, number))
            lease.check()
            new = store.write_if(marker_key(name, number), to_file(marker), None)
        advance(store, name, number, model_id)
    return PushResult(version=number, uri=version_uri(store, name, number), new=new)


def _claim(store: Store, name: str, marker: PublishedMarker) -> int:
    """Claim the next free version number; an interrupted push of this package is resumed."""
    data = to_file(marker)
    claims = (key.rpartition("/")[2] for key in store.list(f"models/{name}/claims/"))
    taken = sorted(int(number) for number in claims if number.isdecimal())
    for number in taken:
        if (
            not store.exists(marker_key(name, number))
            and store.read(_claim_key(name, number)) == data
        ):
            return number
    number = max(taken, default=0) + 1
    while not store.write_if(_claim_key(name, number), data, None):
        number += 1
    return number


def _claim_key(name: str, version: int) -> str:
    return f"models/{name}/claims/{version}"


def _copy(store: Store, folder: Path, target: str) -> None:
    listed = read_sums(folder) | {SUMS: digest(folder / SUMS)}
    # Files left by an interrupted push are not part of the package.
    for key in list(store.list(f"{target}/")):
        if key.removeprefix(f"{target}/") not in listed:
            store.delete(key)
    # TensorFlow Serving, if it watches the folder, loads a version as soon as this file exists.
    for name in sorted(listed, key=lambda name: (name == SAVED_MODEL, name)):
        store.put_file(f"{target}/{name}", folder / name)
    for name, expected in listed.items():
        received = digest(store.fetch(f"{target}/{name}"))
        if received != expected:
            raise StoreError(
                f"{name} in {target} reads back different from what was written",
                expected=f"SHA-256 {expected}",
                received=f"SHA-256 {received}",
                hint="Push again; nothing was published.",
            )
