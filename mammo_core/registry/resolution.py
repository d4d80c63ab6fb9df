"""From a model's URI to a local folder with its package."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mammo_core.errors import ModelError, StoreError
from mammo_core.packaging.signatures.checksums import SUMS
from mammo_core.packaging.signatures.trust import TrustPolicy, unsigned_error
from mammo_core.registry.champions import champion
from mammo_core.registry.keys import split_model_uri
from mammo_core.registry.versions import NAME, fetch_version, read_marker
from mammo_core.store import Store, open_store

_KEY = re.compile(r"models/([^/]+)(?:/([1-9][0-9]*))?")


@dataclass(frozen=True)
class ResolvedModel:
    """The package that a URI refers to.

    Attributes:
        folder: Local folder with the package's files, not yet verified.
        name: Name of the model in its registry; empty for a folder outside a registry.
        version: Version in the registry; None for a folder outside a registry.
        model_id: Model id in the marker of the version; empty outside a registry.
    """

    folder: Path
    name: str = ""
    version: int | None = None
    model_id: str = ""


def resolve_version(uri: str, trust: TrustPolicy | None = None) -> ResolvedModel:
    """Return the package a URI refers to, not yet verified: `open_package` does both.

    Args:
        uri: As in `open_package`.
        trust: The keys a package must be signed by, if any: a network without a package has no
            signature, and is then not looked at.

    Raises:
        ModelError: There is no such model or version, or a network alone is not accepted.
        StoreError: The store fails.
    """
    location = find_version(uri)
    if location is None:
        path = local_path(uri) or Path(uri)
        if (path / SUMS).is_file():
            return ResolvedModel(path)
        if trust is not None:
            raise unsigned_error(f"the network {path.name}", trust)
        from mammo_core.packaging.imported import temporary_package  # loads codecs

        return ResolvedModel(temporary_package(path))
    store, name, version = location
    marker = read_marker(store, name, version)
    folder = fetch_version(store, name, version)
    return ResolvedModel(folder, name, version, marker.model_id)


def find_version(uri: str) -> tuple[Store, str, int] | None:
    """Return the store, model and version of a URI; None for a package outside a registry.

    Args:
        uri: As in `open_package`.

    Raises:
        ModelError: There is no such model.
        StoreError: The store fails.
    """
    path = local_path(uri)
    # In a registry a folder alone proves nothing: it may hold an interrupted push.
    in_registry = path is not None and any(
        (path.absolute().parent / name).is_dir() for name in ("claims", "published")
    )
    if path is not None and (path / SUMS).is_file() and not in_registry:
        return None
    if path is not None and path.suffix == ".keras" and path.is_file():
        return None
    try:
        root, key = split_model_uri(path.absolute().as_uri() if path is not None else uri)
    except StoreError as error:
        raise _unknown_model_error(uri) from error
    match = _KEY.fullmatch(key)
    if match is None or NAME.fullmatch(match[1]) is None:
        raise _unknown_model_error(uri)
    store, name = open_store(root), match[1]
    if match[2] is not None:
        return store, name, int(match[2])
    reference = champion(store, name)
    if reference is None:
        raise _unknown_model_error(uri)
    return store, name, reference.version


def local_path(uri: str) -> Path | None:
    """Return the path of a plain path or `file://` URI; None for any other URI."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.netloc + parts.path))
    return Path(uri) if "://" not in uri else None


def _unknown_model_error(uri: str) -> ModelError:
    return ModelError(
        "There is no such model",
        expected="a package folder, …/models/<name>/<version>, or …/models/<name> with a champion",
        received=uri,
        hint="`mammo models list --store URI` lists the published models.",
    )
