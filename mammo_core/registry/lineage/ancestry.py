"""The frames a package was fitted to, including those of the packages its training started from.

All of this is in the store: a package's lineage names its frame and its trainings, and a
training names the package it started from. Outputs are content addressed, so a copy in any
of the stores searched is as good as the original.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mammo_core.datasets import Manifest
from mammo_core.datasets.kinds import Kind
from mammo_core.datasets.tables import read_table
from mammo_core.documents import read_bounded
from mammo_core.errors import MammoError, StoreError
from mammo_core.features.kinds import FRAME
from mammo_core.packaging.contents import read_json
from mammo_core.packaging.patient_list import PATIENTS, PatientList
from mammo_core.registry.keys import version_folder
from mammo_core.registry.resolution import find_version, local_path
from mammo_core.registry.versions import models, read_lineage, read_version_file, versions
from mammo_core.sources.kinds import TABLES
from mammo_core.store import Store
from mammo_core.training.kinds import IMAGE_TRAINING, PATCH_TRAINING, members_of

if TYPE_CHECKING:
    import pandas as pd

#: Returns the URIs of the packages that a run, whose record is in a store, started from.
StartReader = Callable[[Store, str], list[str]]
_TRAININGS: dict[str, Kind[Any]] = {
    "image_training_id": IMAGE_TRAINING,
    "patch_training_id": PATCH_TRAINING,
}


@dataclass(frozen=True)
class FittedFrame:
    """A frame that a package was fitted to.

    Attributes:
        package: Name of the package in messages.
        id: Id of the frame.
        images: Its images (`features.frame.Frame`).
        site_key: Fingerprint of the site key of its patient keys; empty if not recorded.
    """

    package: str
    id: str
    images: "pd.DataFrame"
    site_key: str


@dataclass(frozen=True)
class Ancestry:
    """The ancestry of a package, as far as the stores record it.

    Attributes:
        frames: The frames that the package and its ancestors were fitted to.
        unknown: What the stores do not record, one sentence each.
        lists: Name of a package → its own list of patients, where its frame is in no store.
    """

    frames: tuple[FittedFrame, ...]
    unknown: tuple[str, ...]
    lists: tuple[tuple[str, PatientList], ...] = ()


@dataclass
class _Search:
    """The state of a search: packages still to visit, and the results so far."""

    stores: list[Store]
    read_starts: StartReader
    pending: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    frames: dict[str, FittedFrame] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    starts: set[str] = field(default_factory=set)
    lists: dict[str, PatientList] = field(default_factory=dict)
    #: Name of a package → reads a file of it, or returns None.
    readers: dict[str, Callable[[str], bytes | None]] = field(default_factory=dict)


def ancestry(uri: str, store: Store, read_starts: StartReader) -> Ancestry:
    """Return the frames that a package and its ancestors were fitted to.

    Args:
        uri: A package, as in `resolve`. Only its lineage is read.
        store: The run's store; the package's own store is searched too.
        read_starts: Reads what a run started from.

    Raises:
        ModelError: There is no such package in `store`.
        RecordError: A frame is damaged.
        StoreError: `store` fails.
    """
    search = _Search([store], read_starts)
    try:
        label, lineage = _package(uri, search)
    except MammoError as error:
        if uri.startswith(f"{store.uri}/"):
            raise
        return Ancestry((), (f"the package {uri} cannot be read here: {error.problem}",))
    return _run(search, label, lineage)


def ancestry_of(
    label: str, lineage: dict[str, Any], store: Store, read_starts: StartReader
) -> Ancestry:
    """Return the frames that a package with this lineage, published or not, was fitted to.

    Args:
        label: Name of the package in messages.
        lineage: Its lineage.
        store: As in `ancestry`.
        read_starts: As in `ancestry`.
    """
    return _run(_Search([store], read_starts), label, lineage)


def _run(search: _Search, label: str, lineage: dict[str, Any]) -> Ancestry:
    search.pending.append((label, lineage))
    while search.pending:
        _visit(search, *search.pending.pop())
    return Ancestry(
        tuple(search.frames.values()), tuple(search.unknown), tuple(search.lists.items())
    )


def recorded_site_key(stores: list[Store], frame: Manifest) -> str:
    """Return the fingerprint of the site key that a frame's patient keys were made with.

    Args:
        stores: Stores to search for the source tables of the frame.
        frame: The frame.

    Returns:
        Empty if the source has no site key, or its tables are gone.
    """
    tables = _find_output(stores, TABLES, frame.lineage.get("tables", ""))
    return str(TABLES.facts_of(tables).source.get("site_key", "")) if tables is not None else ""


def _visit(search: _Search, label: str, lineage: dict[str, Any]) -> None:
    if "fitted_frames" in lineage:  # of the package and of all before it; no training is read
        search.unknown += map(str, lineage.get("fitted_unknown", []))
        for id in lineage["fitted_frames"]:
            if id not in search.frames:
                _add_frame(search, label, str(id))
        return
    trainings = list(_trainings(search, label, lineage))
    frames = [str(lineage.get("frame_id", "")), *(t.lineage.get("frame", "") for t in trainings)]
    ids = sorted(set(frames) - {""})
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
    """The trainings of a package, including those of an ensemble's members."""
    for name, kind in _TRAININGS.items():
        id = str(lineage.get(name, ""))
        training = _find_training(search.stores, kind, id)
        if training is None:
            if id:
                search.unknown.append(f"the training {id} of {label} is not in the store")
            continue
        yield training
        for member_id in members_of(training):
            member = _find_training(search.stores, kind, member_id)
            if member is None:
                search.unknown.append(f"the training {member_id} of {label} is not in the store")
            else:
                yield member


def _find_training(stores: list[Store], kind: Kind[Any], id: str) -> Manifest | None:
    """A training; None too where the role of a step may not read trainings."""
    try:
        return _find_output(stores, kind, id)
    except StoreError:
        return None


def _add_frame(search: _Search, label: str, id: str) -> None:
    for store in search.stores:
        manifest = FRAME.find(store, id)
        if manifest is not None:
            images = read_table(store, manifest, "images.parquet")
            site_key = recorded_site_key(search.stores, manifest)
            search.frames[id] = FittedFrame(label, id, images, site_key)
            return
    listed = _read_list(search, label)
    if listed is None:
        search.unknown.append(f"the frame {id} of {label} is not in the store")
    elif label not in search.lists:  # it has the patients of all frames
        search.lists[label] = listed
        search.unknown += listed.unknown


def _read_list(search: _Search, label: str) -> PatientList | None:
    """The list of patients that a package has, or None."""
    read = search.readers.get(label)
    data = read(PATIENTS) if read is not None else None
    try:
        return PatientList.model_validate_json(data) if data is not None else None
    except ValueError:
        search.unknown.append(f"the list of patients of {label} cannot be read")
        return None


def _remember(search: _Search, label: str, read: Callable[[str], bytes | None]) -> None:
    search.readers[label] = read


def _in_version(store: Store, name: str, version: int) -> Callable[[str], bytes | None]:
    def read(file: str) -> bytes | None:
        if not store.exists(f"{version_folder(name, version)}/{file}"):
            return None
        return read_version_file(store, name, version, file)

    return read


def _in_folder(folder: Path) -> Callable[[str], bytes | None]:
    def read(file: str) -> bytes | None:
        return read_bounded(folder / file, 2**28) if (folder / file).is_file() else None

    return read


def _add_start(search: _Search, label: str, lineage: dict[str, Any], model_id: str) -> None:
    """Find the package that a training started from, by its model id."""
    for store in list(search.stores):
        if _add_version(search, store, model_id):
            return
    # It is from another store: the recipe of that run names it.
    run_id = str(lineage.get("run_id", ""))
    starts = (uri for item in search.stores for uri in search.read_starts(item, run_id))
    for uri in dict.fromkeys(starts):
        try:
            location = find_version(uri)
            if location is not None and _add_version(search, location[0], model_id):
                return
            folder = local_path(uri)
            if location is None and folder is not None and _has_model_id(folder, model_id):
                _remember(search, folder.name, _in_folder(folder))
                search.pending.append((folder.name, read_json(folder, "lineage.json")))
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
                _add_store(search.stores, store)
                label = f"{ref.name}/{ref.version}"
                _remember(search, label, _in_version(store, ref.name, ref.version))
                search.pending.append((label, ref.lineage(store)))
                return True
    return False


def _has_model_id(folder: Path, model_id: str) -> bool:
    is_package = (folder / "package.json").is_file() and (folder / "lineage.json").is_file()
    return is_package and read_json(folder, "package.json").get("model_id") == model_id


def _package(uri: str, search: _Search) -> tuple[str, dict[str, Any]]:
    """Name of a package in messages, and its lineage."""
    location = find_version(uri)
    if location is not None:
        store, name, version = location
        _add_store(search.stores, store)
        _remember(search, f"{name}/{version}", _in_version(store, name, version))
        return f"{name}/{version}", read_lineage(store, name, version)
    path = local_path(uri) or Path(uri)
    # An imported network records nothing about its patients.
    has_lineage = (path / "lineage.json").is_file()
    _remember(search, path.name, _in_folder(path))
    return path.name, read_json(path, "lineage.json") if has_lineage else {}


def _add_store(stores: list[Store], store: Store) -> None:
    if store.uri not in [known.uri for known in stores]:
        stores.append(store)


def _find_output(stores: list[Store], kind: Kind[Any], id: str) -> Manifest | None:
    return next(filter(None, (kind.find(store, id) for store in stores)), None)
