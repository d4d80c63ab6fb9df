"""Which model a URI names now: a URI can come to name another one, a model id cannot."""

from mammo_core.errors import MammoError, ModelError
from mammo_core.packaging.contents import read_json
from mammo_core.packaging.signatures.checksums import digest
from mammo_core.registry.resolution import find_version, local_path
from mammo_core.registry.versions import read_marker


def start_identity(uri: str) -> str:
    """Return the model id of a package, or the digest of an imported network; nothing is loaded.

    Args:
        uri: As in `registry.open_package`.

    Raises:
        ModelError: There is no such model.
        StoreError: The store fails.
    """
    location = find_version(uri)
    if location is not None:
        store, name, version = location
        return read_marker(store, name, version).model_id
    path = local_path(uri)
    try:
        if path is not None and path.is_file():
            return digest(path)
        if path is not None:
            return str(read_json(path, "package.json")["model_id"])
    except (OSError, KeyError, MammoError) as error:
        raise _unknown_error(uri) from error
    raise _unknown_error(uri)


def _unknown_error(uri: str) -> ModelError:
    return ModelError(
        "There is no such model to start from",
        expected="a package folder, …/models/<name>/<version>, or …/models/<name>",
        received=uri,
    )
