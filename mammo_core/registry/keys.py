"""The keys of the registry in the store, and the URIs that name them."""

import re

from mammo_core.errors import StoreError
from mammo_core.store import Store

_PACKAGE_KEY = re.compile(r"models/([^/]+)/([1-9][0-9]*)/.+")


def split_model_uri(uri: str) -> tuple[str, str]:
    """Split the URI of a model into its store and its key.

    `s3://bucket/prefix/models/x/3` → (`s3://bucket/prefix`, `models/x/3`): a key starts at
    the last `models` part.

    Raises:
        StoreError: The URI has no such part.
    """
    head, separator, tail = uri.rstrip("/").rpartition("/models/")
    if not separator or not head:
        raise StoreError(
            "The URI does not name a model in a store",
            expected="…/models/<name> or …/models/<name>/<version>",
            received=repr(uri),
        )
    return head, f"models/{tail}"


def model_folder(name: str) -> str:
    """Return the folder of a model; its lease has the same name."""
    return f"models/{name}"


def version_folder(name: str, version: int) -> str:
    """Return the folder of a version's package."""
    return f"{model_folder(name)}/{version}"


def version_of_key(key: str) -> tuple[str, int] | None:
    """Return the model and the version whose package has a key, or None."""
    match = _PACKAGE_KEY.fullmatch(key)
    return (match[1], int(match[2])) if match else None


def marker_key(name: str, version: int) -> str:
    """Return the key whose existence means that the version exists."""
    return f"models/{name}/published/{version}.json"


def released_key(name: str, id: str) -> str:
    """Return the key of the note that a candidate passed a gate and was pushed.

    Args:
        name: Name of the model.
        id: Content id of the candidate, its evaluation and the gate's settings.
    """
    return f"models/{name}/released/{id}.json"


def version_uri(store: Store, name: str, version: int) -> str:
    """Return the URI of a version."""
    return f"{store.uri}/{version_folder(name, version)}"
