"""Published versions of models in the object store.

    models/<name>/claims/<n>           who publishes version n (written first)
    models/<name>/<n>/…                the package, laid out as a TensorFlow Serving version
    models/<name>/published/<n>.json   written after the package was read back: version n exists
    models/<name>/champion             {"version": n, "model_id": …}, moved last

An interrupted push leaves a claim and perhaps files, but no version: a version without its
published/<n>.json is never listed, resolved or compared. Claims, markers and the champion are
conditional writes: the loser of a race takes the next version or reads again.
"""

import atexit
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mammo_core.errors import ModelError
from mammo_core.packaging.checksums import SUMS, digest, read_sums
from mammo_core.store import Store

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_Model = TypeVar("_Model", bound=BaseModel)


class PublishedMarker(BaseModel):
    """`published/<n>.json`.

    Attributes:
        model_id: Content hash of the model.
        sums: SHA-256 of the package's SHA256SUMS, which covers every file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_id: str
    sums: str


class VersionRef(BaseModel):
    """A published version.

    Attributes:
        name: Name of the model.
        version: Number of the version, from 1.
        model_id: Content hash of the model.
        uri: URI for `resolve`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: int
    model_id: str
    uri: str

    def lineage(self, store: Store) -> dict[str, Any]:
        """Return the package's lineage.json: the ids of the outputs the model was made from.

        Args:
            store: Where the registry is.

        Raises:
            ModelError: It is missing or not a JSON object.
            StoreError: The store fails.
        """
        return read_lineage(store, self.name, self.version)


def versions(store: Store, name: str) -> list[VersionRef]:
    """Return the published versions of a model, in ascending order.

    Raises:
        ModelError: The name is invalid, or a version's marker is damaged.
    """
    refs = []
    for key in store.list(f"models/{require_name(name)}/published/"):
        file, dot, extension = key.rpartition("/")[2].partition(".")
        if (dot, extension) == (".", "json") and file.isdecimal():
            marker = parse_file(PublishedMarker, store.read(key), key)
            number = int(file)
            refs.append(
                VersionRef(
                    name=name,
                    version=number,
                    model_id=marker.model_id,
                    uri=version_uri(store, name, number),
                )
            )
    return sorted(refs, key=lambda ref: ref.version)


def models(store: Store) -> list[str]:
    """Return the names of the models that have a published version, sorted."""
    parts = (key.split("/") for key in store.list("models/"))
    return sorted({part[1] for part in parts if len(part) == 4 and part[2] == "published"})


def read_marker(store: Store, name: str, version: int) -> PublishedMarker:
    """Read the marker of a published version.

    Raises:
        ModelError: There is no such version, or its marker is damaged.
        StoreError: The store fails.
    """
    key = marker_key(name, version)
    if not store.exists(key):
        published = ", ".join(str(ref.version) for ref in versions(store, name))
        raise ModelError(
            f"The model {name} has no version {version} in {store.uri}",
            expected=f"a published version: {published or 'there is none yet'}",
            received=str(version),
        )
    return parse_file(PublishedMarker, store.read(key), key)


def read_lineage(store: Store, name: str, version: int) -> dict[str, Any]:
    """Read the lineage of a version; see `VersionRef.lineage`."""
    key = f"{version_folder(name, version)}/lineage.json"
    if not store.exists(key):
        raise _lineage_error(key, "no such file")
    try:
        lineage = json.loads(store.read(key))
    except ValueError as error:
        raise _lineage_error(key, str(error)) from error
    if not isinstance(lineage, dict):
        raise _lineage_error(key, type(lineage).__name__)
    return lineage


def fetch_version(store: Store, name: str, version: int) -> Path:
    """Return a local folder with the files of a published version; `verify` then checks them.

    Args:
        store: Where the registry is.
        name: Name of the model.
        version: Number of the version.

    Raises:
        ModelError: There is no such version, or its list of files was changed.
        StoreError: The store fails.
    """
    marker = read_marker(store, name, version)
    folder = _fetch_files(store, version_folder(name, version))
    if digest(folder / SUMS) != marker.sums:
        raise ModelError(
            f"Version {version} of {name} is not what was published",
            expected=f"{SUMS} with SHA-256 {marker.sums}",
            received=f"SHA-256 {digest(folder / SUMS)}",
            hint="Files in the store were changed after publication.",
        )
    return folder


def version_folder(name: str, version: int) -> str:
    """Return the folder of a version's package."""
    return f"models/{name}/{version}"


def marker_key(name: str, version: int) -> str:
    """Return the key whose existence means that the version exists."""
    return f"models/{name}/published/{version}.json"


def version_uri(store: Store, name: str, version: int) -> str:
    """Return the URI of a version."""
    return f"{store.uri}/{version_folder(name, version)}"


def require_name(name: str) -> str:
    """Return a model name, or raise `ModelError` if it is invalid."""
    if NAME.fullmatch(name) is None:
        raise ModelError(
            "This model name cannot be used",
            expected="letters, digits, '.', '_' and '-', starting with a letter or digit",
            received=repr(name),
        )
    return name


def parse_file(model: type[_Model], data: bytes, key: str) -> _Model:
    """Parse one of the registry's JSON files.

    Raises:
        ModelError: It cannot be parsed.
    """
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise ModelError(
            f"The registry file {key} cannot be read",
            expected="the JSON object that this release writes",
            received=str(error.errors()[0]["msg"]),
        ) from error


def to_file(value: BaseModel) -> bytes:
    """Return the bytes of one of the registry's JSON files: the same value, the same bytes."""
    return (json.dumps(value.model_dump(mode="json"), sort_keys=True) + "\n").encode()


def _fetch_files(store: Store, package: str) -> Path:
    """Fetch a package; returns the store's own folder if the store is one on this machine."""
    sums = store.fetch(f"{package}/{SUMS}")
    names = sorted(read_sums(sums.parent))
    fetched = [sums, *(store.fetch(f"{package}/{name}") for name in names)]
    if fetched == [sums.parent / name for name in [SUMS, *names]]:
        return sums.parent
    folder = Path(tempfile.mkdtemp(prefix="mammo-model-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name, path in zip([SUMS, *names], fetched, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    return folder


def _lineage_error(key: str, received: str) -> ModelError:
    return ModelError(
        f"The lineage {key} cannot be read",
        expected="a JSON object",
        received=received,
        hint="Restore the version or remove it from the registry.",
    )
