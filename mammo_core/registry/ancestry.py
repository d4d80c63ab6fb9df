"""Which frames a package was fitted to, and the packages that its training started from.

What a package knows of its patients is in the store: its lineage names its frame and its
trainings, and a training names the package that it started from. Outputs are content
addressed, so a copy in any store that is looked into is as good as the first.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from mammo_core.datasets import Manifest, find
from mammo_core.datasets.tables import read_table
from mammo_core.errors import MammoError
from mammo_core.features.frame import FRAME_KIND
from mammo_core.packaging.contents import read_json
from mammo_core.registry.resolution import find_version, local_path
from mammo_core.registry.versions import models, versions
from mammo_core.store import Store

_TRAININGS = {"image_training_id": "trainings/image", "patch_training_id": "trainings/patch"}
_TABLES = "tables"


@dataclass(frozen=True)
class FittedFrame:
    """A frame that a package was fitted to.

    Attributes:
        package: The package, as messages name it.
        id: Of the frame.
        images: Its images (`features.frame.Frame`).
        site_key: Fingerprint of the site key of its patient keys; empty where not recorded.
    """

    package: str
    id: str
    images: pd.DataFrame
    site_key: str


@dataclass(frozen=True)
class Ancestry:
    """What could be learned of a package and of those that it was started from.

    Attributes:
        frames: What they were fitted to.
        unknown: What could not be learned, one sentence each.
    """

    frames: tuple[FittedFrame, ...]
    unknown: tuple[str, ...]


@dataclass
class _Search:
    """Packages that wait to be looked at, and what was found so far."""

    stores: list[Store]
    waiting: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    frames: dict[str, FittedFrame] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    starts: set[str] = field(default_factory=set)


def ancestry(uri: str, store: Store) -> Ancestry:
    """Return the frames that a package and the packages before it were fitted to.

    Args:
        uri: A package, as in `resolve`. Only its lineage is read.
        store: The run's store; the package's own is looked into as well.

    Raises:
        ModelError: There is no such package in `store`.
        RecordError: A frame is damaged.
        StoreError: `store` fails.
    """
    search = _Search([store])
    try:
        search.waiting.append(_package(uri, search.stores))
    except MammoError as error:
        if uri.startswith(f"{store.uri}/"):
            raise
        return Ancestry((), (f"the package {uri} cannot be read here: {error.problem}",))
    while search.waiting:
        _look_at(search, *search.waiting.pop())
    return Ancestry(tuple(search.frames.values()), tuple(search.unknown))


def recorded_site_key(stores: list[Store], frame: Manifest) -> str:
    """Return the fingerprint of the site key that a frame's patient keys were made with.

    Args:
        stores: Where to look for the tables that the frame was made from.
        frame: The frame.

    Returns:
        Empty where the source has none, or its tables are gone.
    """
    tables = _find(stores, _TABLES, frame.lineage.get("tables", ""))
    source = tables.facts.get("source") if tables is not None else None
    return str(source.get("site_key", "")) if isinstance(source, dict) else ""


def _look_at(search: _Search, label: str, lineage: dict[str, Any]) -> None:
    trainings = list(_trainings(search, label, lineage))
    named = [str(lineage.get("frame_id", "")), *(one.lineage.get("frame", "") for one in trainings)]
    ids = sorted(set(named) - {""})
    if not ids:
        search.unknown.append(f"{label} does not name the frame that it was fitted to")
    for id in ids:
        if id not in search.frames:
            _add_frame(search, label, id)
    for training in trainings:
        start = training.lineage.get("start") or training.lineage.get("package", "")
        if start and start not in search.starts:
            search.starts.add(start)
            _add_start(search, label, lineage, start)


def _trainings(search: _Search, label: str, lineage: dict[str, Any]) -> Iterator[Manifest]:
    """The trainings of a package, those of an ensemble's members included."""
    for name, kind in _TRAININGS.items():
        id = str(lineage.get(name, ""))
        whole = _find(search.stores, kind, id)
        if whole is None:
            if id:
                search.unknown.append(f"the training {id} of {label} is not in the store")
            continue
        yield whole
        for member in filter(None, whole.lineage.get("members", "").split(",")):
            part = _find(search.stores, kind, member)
            if part is None:
                search.unknown.append(f"the training {member} of {label} is not in the store")
            else:
                yield part


def _add_frame(search: _Search, label: str, id: str) -> None:
    for store in search.stores:
        manifest = find(store, FRAME_KIND, id)
        if manifest is not None:
            images = read_table(store, manifest, "images.parquet")
            site_key = recorded_site_key(search.stores, manifest)
            search.frames[id] = FittedFrame(label, id, images, site_key)
            return
    search.unknown.append(f"the frame {id} of {label} is not in the store")


def _add_start(search: _Search, label: str, lineage: dict[str, Any], model_id: str) -> None:
    """Find the package that a training started from, by its id."""
    for store in list(search.stores):
        if _add_version(search, store, model_id):
            return
    # It came from elsewhere: the recipe of that run says from where.
    for uri in _start_uris(search.stores, str(lineage.get("run_id", ""))):
        try:
            found = find_version(uri)
            if found is not None and _add_version(search, found[0], model_id):
                return
            folder = local_path(uri)
            if found is None and folder is not None and _is_package(folder, model_id):
                search.waiting.append((folder.name, read_json(folder, "lineage.json")))
                return
        except MammoError:
            continue
    search.unknown.append(
        f"the model {model_id[:12]}…, which {label} was started from, is not in the store"
    )


def _add_version(search: _Search, store: Store, model_id: str) -> bool:
    for name in models(store):
        for ref in versions(store, name):
            if ref.model_id == model_id:
                _remember(search.stores, store)
                search.waiting.append(_registered(store, ref.name, ref.version))
                return True
    return False


def _is_package(folder: Path, model_id: str) -> bool:
    known = (folder / "package.json").is_file() and (folder / "lineage.json").is_file()
    return known and read_json(folder, "package.json").get("model_id") == model_id


def _start_uris(stores: list[Store], run_id: str) -> list[str]:
    """What the recipe of a run names as starts, its members' included."""
    key = f"runs/{run_id}/recipe.json"
    found = []
    for store in stores:
        if run_id and store.exists(key):
            recipe = json.loads(store.read(key))
            for part in (recipe, *recipe.get("members", [])):
                found.append(str(part.get("image_training", {}).get("start") or ""))
    return [uri for uri in dict.fromkeys(found) if uri]


def _package(uri: str, stores: list[Store]) -> tuple[str, dict[str, Any]]:
    """How messages name a package, and its lineage."""
    found = find_version(uri)
    if found is not None:
        store, name, version = found
        _remember(stores, store)
        return _registered(store, name, version)
    path = local_path(uri) or Path(uri)
    # An imported network says nothing of its patients.
    told = (path / "lineage.json").is_file()
    return path.name, read_json(path, "lineage.json") if told else {}


def _registered(store: Store, name: str, version: int) -> tuple[str, dict[str, Any]]:
    key = f"models/{name}/{version}/lineage.json"
    lineage = json.loads(store.read(key)) if store.exists(key) else {}
    return f"{name}/{version}", lineage


def _remember(stores: list[Store], store: Store) -> None:
    if store.uri not in [one.uri for one in stores]:
        stores.append(store)


def _find(stores: list[Store], kind: str, id: str) -> Manifest | None:
    if not id:
        return None
    return next(filter(None, (find(store, kind, id) for store in stores)), None)
