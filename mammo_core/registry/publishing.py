"""Pushing a package: publishing it as the next version of a model, signed."""

import json
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from pydantic import BaseModel, ConfigDict

from mammo_core.errors import ModelError, StoreError
from mammo_core.packaging.allowed_uses import require_use
from mammo_core.packaging.contents import SAVED_MODEL
from mammo_core.packaging.package import OpenedPackage
from mammo_core.packaging.release import released
from mammo_core.packaging.signatures.checksums import SUMS, digest, read_sums
from mammo_core.packaging.signatures.keys import KEY_FILE
from mammo_core.packaging.signatures.trust import UNSIGNED, signing_key
from mammo_core.registry.champions import champion
from mammo_core.registry.keys import marker_key, model_folder, version_folder, version_uri
from mammo_core.registry.opening import open_for_push
from mammo_core.registry.promotion import advance, begin
from mammo_core.registry.release_decision import DECISION, ReleaseDecision
from mammo_core.registry.versions import PublishedMarker, require_name, to_file, versions
from mammo_core.store import Store, require_conditional_writes


class PushResult(BaseModel):
    """The result of a push.

    Attributes:
        version: Version of the model in the registry.
        uri: URI of that version.
        new: False if this very model had been published before, signed by the same key.
        signed_by: Id of the key that signed the version, or `unsigned`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    uri: str
    new: bool
    signed_by: str = UNSIGNED


def push(
    store: Store,
    folder: Path,
    name: str,
    *,
    public_key: Path | None = None,
    accept_unsigned: bool = False,
    acknowledged: Sequence[str] = (),
    compared_with: str | None = None,
    decision: ReleaseDecision | None = None,
) -> PushResult:
    """Publish a package as the next version of a model, and as its champion.

    It is signed as this version with the configured key. Pushing a model that is already a
    version, signed by the same key, creates no new version. The champion only moves forward, so
    after two concurrent pushes the later version is the champion. A model that was rolled back
    stays withdrawn until it is promoted.

    Args:
        store: Where the registry is.
        folder: Folder of the package; its signature, if it has one, is verified and replaced.
        name: Name of the model.
        public_key: PEM file of the key the package must be signed by; None: it may be unsigned, if
            it was never pushed.
        accept_unsigned: Whether to sign a pushed version that nobody signed; see `open_for_push`.
        acknowledged: Names of terms that forbid to pass the model on, and do not stop the push.
        compared_with: Model id of the champion that the model was compared with, empty for none: a
            new version is only published while that is the champion. None: whatever it is.
        decision: The decision of the gate, which becomes part of what is signed; None: it was
            pushed by hand.

    Raises:
        SourceError: The terms of its data forbid to pass the model on, and were not acknowledged.
        ModelError: The package's verification fails, or the name is invalid; there is no signing
            key although MAMMO_TRUST is set, or the package is signed; or the pointer to the
            champion cannot be trusted: the version is then published, and not the champion. Or the
            champion is another than the one that the model was compared with.
        StoreError: The store fails, has no conditional writes, or returns other bytes than
            were written.
    """
    require_name(name)
    key = signing_key()
    package = open_for_push(str(folder.absolute()), public_key, accept_unsigned=accept_unsigned)
    require_use(package, "model_redistribution", acknowledged, "pushed")
    if package.signed_by != UNSIGNED and key is None:
        raise ModelError(
            f"The signature of the model package {folder.name} would be lost",
            expected=f"a signing key ({KEY_FILE}) to sign it as the next version of {name}",
            received="none",
        )
    signer = key.public_id() if key is not None else UNSIGNED
    require_conditional_writes(store)
    # The lease makes this the only push; if it is lost, the claims still keep two pushes apart.
    with store.lease(model_folder(name)) as lease:
        fault = _champion_fault(store, name)
        identity = (package.model_id, signer)
        same = [
            ref.version
            for ref in versions(store, name)
            if (ref.model_id, ref.signed_by) == identity
        ]
        new = not same
        if new and fault is None and compared_with is not None:
            _require_champion(store, name, compared_with)
        number = same[0] if same else _claim(store, name, package)
        if new:
            target = version_folder(name, number)
            with released(package, name, number, key, _documents(decision)) as release:
                _copy(store, release, target)
                marker = PublishedMarker(
                    model_id=package.model_id, sums=digest(release / SUMS), signed_by=signer
                )
            lease.check()
            key_of_marker, data = marker_key(name, number), to_file(marker)
            # A repeated request finds what the first one wrote.
            if not store.write_if(key_of_marker, data, None) and store.read(key_of_marker) != data:
                raise _taken_error(store, name, number)
        if fault is None:
            advance(store, name, number, package.model_id)
    if fault is not None:
        raise ModelError(
            f"Version {number} of {name} was published, but is not the champion",
            expected="a pointer to the champion that can be trusted",
            received=fault.problem,
            hint=f"`mammo models promote {name} {number}` makes it the champion.",
        ) from fault
    uri = version_uri(store, name, number)
    return PushResult(version=number, uri=uri, new=new, signed_by=signer)


def _documents(decision: ReleaseDecision | None) -> dict[str, bytes]:
    return {} if decision is None else {DECISION: to_file(decision)}


def _champion_fault(store: Store, name: str) -> ModelError | None:
    """Write the first entry of a new model; return why the champion cannot move, if it cannot.

    The version is published all the same: where signing was introduced later, an operator then
    makes it the champion.
    """
    try:
        begin(store, name)
    except ModelError as error:
        return error
    return None


def _require_champion(store: Store, name: str, model_id: str) -> None:
    current = champion(store, name)
    if (current.model_id if current is not None else "") != model_id:
        raise ModelError(
            f"The champion of {name} changed after the model was compared with it",
            expected=model_id or "no champion",
            received=current.uri if current is not None else "no champion",
            hint="run it again: what is finished is reused, and the new champion is compared",
        )


def _claim(store: Store, name: str, package: OpenedPackage) -> int:
    """Claim the next number for this push alone; that of an interrupted push stays unused."""
    data = json.dumps({"model_id": package.model_id, "push": uuid4().hex}, sort_keys=True).encode()
    claims = (key.rpartition("/")[2] for key in store.list(f"{model_folder(name)}/claims/"))
    number = max((int(claim) for claim in claims if claim.isdecimal()), default=0) + 1
    while not store.write_if(f"{model_folder(name)}/claims/{number}", data, None):
        number += 1
    return number


def _copy(store: Store, folder: Path, target: str) -> None:
    listed = read_sums(folder) | {SUMS: digest(folder / SUMS)}
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


def _taken_error(store: Store, name: str, number: int) -> StoreError:
    return StoreError(
        f"Version {number} of {name} in {store.uri} was published by another push",
        expected="a number that belongs to this push alone",
        received="a marker that is not its own",
        hint="Push again.",
    )
