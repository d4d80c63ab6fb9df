"""From a model's URI to a local folder with its package."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mammo_core.errors import ModelError, StoreError
from mammo_core.packaging.checksums import SUMS
from mammo_core.packaging.imported import temporary_package
from mammo_core.registry.champions import champion
from mammo_core.registry.versions import NAME, fetch_version
from mammo_core.store import Store, open_store, split_model_uri

_KEY = re.compile(r"models/([^/]+)(?:/([1-9][0-9]*))?")


@dataclass(frozen=True)
class ResolvedModel:
    """The package that a URI refers to.

    Attributes:
        folder: Local folder with the package's files, not yet verified.
        name: Name of the model in its registry; empty for a folder outside a registry.
        version: Version in the registry; None for a folder outside a registry.
    """

    folder: Path
    name: str = ""
    version: int | None = None


def resolve(uri: str) -> Path:
    """Return a local folder with the package a URI refers to; `load` then verifies it.

    Args:
        uri: A package folder; an imported `.keras` file with its contract beside it; or
            `…/models/<name>/<n>`, or `…/models/<name>` for its champion, in a store
            (`file://…`, `s3://…`, or a plain path).

    Raises:
        ModelError: There is no such model or version.
        StoreError: The store fails.
    """
    return resolve_version(uri).folder


def resolve_version(uri: str) -> ResolvedModel:
    """Return the package a URI refers to, with its version; see `resolve`."""
    location = find_version(uri)
    if location is None:
        path = local_path(uri) or Path(uri)
        return ResolvedModel(path if (path / SUMS).is_file() else temporary_package(path))
    store, name, version = location
    return ResolvedModel(fetch_version(store, name, version), name, version)


def find_version(uri: str) -> tuple[Store, str, int] | None:
    """Return the store, model and version of a URI; None for a package outside a registry.

    Args:
        uri: As in `resolve`.

    Raises:
        ModelError: There is no such model.
        StoreError: The store fails.
    """
    path = local_path(uri)
    # In a registry a folder alone proves nothing: it may hold an interrupted push.
    in_registry = path is not None and (path.absolute().parent / "claims").is_dir()
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
