"""What a file of weights is: its digest, and the classes of its head that are stored with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from mammo_core.documents import parse_json
from mammo_core.errors import MammoError, ModelError
from mammo_core.models.config import NetworkConfig
from mammo_core.store import Store, open_store
from mammo_core.store.base import file_sha256

#: Weights that are no file.
NAMED: Final = ("none", "imagenet")
_MAXIMUM_BYTES: Final = 2**24


def weights_digest(weights: str) -> str:
    """Return the SHA-256 of a file of weights, hexadecimal; empty for weights without a file.

    Args:
        weights: As `NetworkConfig.weights`.

    Raises:
        ModelError: There is no such file, or it cannot be read.
    """
    if weights in NAMED:
        return ""
    path = local_weights(weights)
    if path is None:
        folder, _, name = weights.rpartition("/")
        try:
            return open_store(folder).sha256(name)
        except MammoError as error:
            raise _missing_error(weights, str(error)) from error
    try:
        return file_sha256(path)
    except OSError as error:
        raise _missing_error(weights, error.strerror or "no file") from error


def local_weights(weights: str) -> Path | None:
    """Return the path of weights on this machine; None for those in a bucket."""
    if "://" in weights and not weights.startswith("file://"):
        return None
    return Path(unquote(weights.removeprefix("file://")))


def head_classes(config: NetworkConfig) -> tuple[str, ...]:
    """Return the classes of the head in a file of weights, by index; empty if unknown.

    They are given in the recipe (`weights_classes`), or stored beside the file: in the label map
    of a package, in the contract of an imported network, or in the manifest of a training.

    Args:
        config: The network.
    """
    if config.weights_classes or config.weights in NAMED:
        return config.weights_classes
    path = local_weights(config.weights)
    uri = config.weights if path is None else path.absolute().as_uri()
    folder, _, name = uri.rpartition("/")
    above = folder.rpartition("/")[0]
    stem = name.rpartition(".")[0]
    for location, file, keys in (
        (folder, "label_map.json", ("patch",)),
        (folder, f"{stem}.json", ("label_map",)),
        (folder, "manifest.json", ("facts", "classes")),
        (above, "manifest.json", ("facts", "classes")),
    ):
        classes = _names(_read(open_store(location), unquote(file)), keys)
        if classes:
            return classes
    return ()


def _read(store: Store, name: str) -> Any:
    try:
        if not store.exists(name):
            return None
        return parse_json(store.read(name), max_bytes=_MAXIMUM_BYTES)
    except (MammoError, ValueError):
        return None


def _names(value: Any, keys: Sequence[str]) -> tuple[str, ...]:
    """The classes under nested keys: a list, or class → index."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, Mapping):
        indices = {name: index for name, index in value.items() if isinstance(index, int)}
        return tuple(sorted(indices, key=lambda name: indices[name]))
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _missing_error(weights: str, received: str) -> ModelError:
    return ModelError(
        f"Cannot read the weights {weights}",
        expected="a .keras or .h5 file at this path or URI",
        received=received,
    )
