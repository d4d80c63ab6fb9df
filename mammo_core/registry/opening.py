"""The one door through which every package is opened.

Warm starts, the gate, scoring, serving, promotion, rollback and comparison come through here, so
that the trust policy (`MAMMO_TRUST`) and what the registry says about a version hold for all.
"""

from pathlib import Path

from mammo_core.datasets import Manifest
from mammo_core.datasets.manifests import fetch_verified
from mammo_core.errors import ModelError
from mammo_core.packaging.contents import RELEASE, SIGNATURE
from mammo_core.packaging.package import OpenedPackage, verify
from mammo_core.packaging.signatures.checksums import SUMS
from mammo_core.packaging.signatures.trust import TrustPolicy, policy_with
from mammo_core.registry.resolution import ResolvedModel, resolve_version
from mammo_core.registry.versions import fetch_version, gather, read_marker, require_release
from mammo_core.store import Store


def open_package(uri: str, public_key: Path | None = None) -> OpenedPackage:
    """Open the package that a URI refers to: its files, signature and version are verified.

    Args:
        uri: A package folder; an imported `.keras` file with its contract beside it; or
            `…/models/<name>/<n>`, or `…/models/<name>` for its champion, in a store
            (`file://…`, `s3://…`, or a plain path).
        public_key: PEM file of the key that must have signed it, beside what MAMMO_TRUST demands.

    Raises:
        ModelError: There is no such model or version; a file is changed, missing or surplus; it
            is not signed by a trusted key; or it is another version or model than the URI says.
        StoreError: The store fails.
    """
    trust = policy_with(public_key)
    resolved = resolve_version(uri, trust)
    return _require_version(verify(resolved.folder, trust), resolved)


def open_for_push(
    uri: str, public_key: Path | None = None, *, accept_unsigned: bool = False
) -> OpenedPackage:
    """Open a package that is about to be signed: one that was never pushed may be unsigned.

    Args:
        uri: As in `open_package`.
        public_key: PEM file of the key that must have signed it; None: see below.
        accept_unsigned: Whether a version that was pushed may be unsigned although MAMMO_TRUST is
            set: somebody could have removed its signature.

    Raises:
        ModelError: As in `open_package`.
    """
    resolved = resolve_version(uri)
    was_pushed = resolved.version is not None or (resolved.folder / RELEASE).exists()
    if (
        public_key is not None
        or (resolved.folder / SIGNATURE).exists()
        or (was_pushed and not accept_unsigned)
    ):
        return open_package(uri, public_key)
    return _require_version(verify(resolved.folder), resolved)


def open_version(store: Store, name: str, version: int) -> OpenedPackage:
    """Open a published version of a model in a store; see `open_package`."""
    marker = read_marker(store, name, version)
    opened = verify(fetch_version(store, name, version), TrustPolicy.from_environment())
    require_release(opened.release, name, version, marker.model_id)
    return opened


def open_candidate(store: Store, manifest: Manifest) -> OpenedPackage:
    """Open the package of a challenger, which is not signed yet, by the digests in its manifest.

    Args:
        store: Where the output is.
        manifest: A published output whose files are those of a package.

    Raises:
        ModelError: A file is missing or surplus in the package, or it was already released.
        RecordError: A file differs from the manifest.
        StoreError: The store fails.
    """
    names = {file.name for file in manifest.files}
    if SUMS not in names or {RELEASE, SIGNATURE} & names:
        raise ModelError(
            f"The candidate {manifest.id} is not a package before its release",
            expected=f"the files of a package: with {SUMS}, without {RELEASE} and {SIGNATURE}",
            received=", ".join(sorted(names)),
        )
    return verify(gather({file.name: fetch_verified(store, file) for file in manifest.files}))


def _require_version(opened: OpenedPackage, resolved: ResolvedModel) -> OpenedPackage:
    if resolved.version is not None:
        require_release(opened.release, resolved.name, resolved.version, resolved.model_id)
    return opened
