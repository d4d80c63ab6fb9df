"""The registry of models, on the object store.

    models/<name>/claims/<n>           who publishes version n (written first)
    models/<name>/<n>/…                the package, as TensorFlow Serving wants a version
    models/<name>/published/<n>.json   written when the package was read back: version n exists
    models/<name>/champion             {"version": n, "model_id": …}, moved last

A killed push leaves a claim and perhaps files, and no version: nobody lists, resolves or
compares with what has no published/<n>.json. Claims, markers and the champion are conditional
writes: whoever loses a race is told, and takes the next version or looks again.
"""

import atexit
import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from mammo_core.errors import ModelError, StoreError
from mammo_core.packaging.checksums import SUMS, digest, read_sums
from mammo_core.packaging.contents import SAVED_MODEL
from mammo_core.packaging.imported import package_of
from mammo_core.packaging.package import verify
from mammo_core.store import Store, open_store, require_conditional_writes, split_model_uri

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_Kind = TypeVar("_Kind", bound=BaseModel)
_KEY = re.compile(r"models/([^/]+)(?:/([1-9][0-9]*))?")


class _Published(BaseModel):
    """Marker of a version; its digest of SHA256SUMS covers every file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_id: str
    sums: str


class _Pointer(BaseModel):
    """The champion file.

    Attributes:
        version: Of the champion.
        model_id: Of the champion.
        before: The champions before, the last one last: `rollback` goes back through them.
        withdrawn: Versions that were rolled back; no push makes them champion again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    model_id: str
    before: tuple[int, ...] = ()
    withdrawn: tuple[int, ...] = ()


class VersionRef(BaseModel):
    """A published version.

    Attributes:
        name: Of the model.
        version: From 1 on.
        model_id: Content hash.
        uri: For `resolve`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: int
    model_id: str
    uri: str


class ChampionRef(VersionRef):
    """The version that `models/<name>` stands for."""


class PushResult(BaseModel):
    """What a push did.

    Attributes:
        version: Of the model in the registry.
        uri: Of that version.
        new: False when this very model was there before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    uri: str
    new: bool


def push(store: Store, folder: Path, name: str, *, public_key: Path | None = None) -> PushResult:
    """Publish a package as the next version of a model, and as its champion.

    Pushing a model that is a version already changes no version. The champion only moves
    forward, so of two pushes at once the later version stays; a version that was rolled back
    stays withdrawn until somebody promotes it.

    Args:
        store: Where the registry is.
        folder: Of the package.
        name: Of the model.
        public_key: PEM file of the key the package must be signed by; None asks for none.

    Raises:
        ModelError: The package does not verify, or the name cannot be used.
        StoreError: The store fails, has no conditional writes, or what was written does not
            read back.
    """
    _checked(name)
    model_id = verify(folder, public_key).model_id
    require_conditional_writes(store)
    mine = _Published(model_id=model_id, sums=digest(folder / SUMS))
    # Nobody else publishes meanwhile; should the lease be lost, the claim still keeps two apart.
    with store.lease(f"models/{name}") as lease:
        known = [ref.version for ref in versions(store, name) if ref.model_id == model_id]
        number = known[0] if known else _claim(store, name, mine)
        new = False
        if not known:
            _copy(store, folder, _place(name, number))
            lease.check()
            new = store.write_if(_marker(name, number), _json(mine), None)
        _advance(store, name, number, model_id)
    return PushResult(version=number, uri=_uri(store, name, number), new=new)


def promote(store: Store, name: str, version: int) -> ChampionRef:
    """Make a published version the champion, whatever the gate said.

    Its files are verified first.

    Args:
        store: Where the registry is.
        name: Of the model.
        version: Of the model.

    Raises:
        ModelError: There is no such version, or it does not verify.
        StoreError: The store fails, or has no conditional writes.
    """
    require_conditional_writes(store)
    uri = _uri(store, _checked(name), version)
    model_id = verify(resolve(uri)).model_id

    def move(current: _Pointer | None) -> _Pointer | None:
        if current is not None and current.version == version:
            return None
        return _followed(current, version, model_id)

    _move(store, name, move)
    return ChampionRef(name=name, version=version, model_id=model_id, uri=uri)


def rollback(store: Store, name: str) -> ChampionRef:
    """Bring back the champion before, and withdraw the present one.

    Args:
        store: Where the registry is.
        name: Of the model.

    Raises:
        ModelError: There was no champion before.
        StoreError: The store fails, or has no conditional writes.
    """
    require_conditional_writes(store)
    _checked(name)

    def move(current: _Pointer | None) -> _Pointer:
        if current is None or not current.before:
            raise ModelError(
                f"The champion of {name} cannot be rolled back",
                expected="a champion before it",
                received="no champion at all" if current is None else "the first one",
                hint="`mammo models promote` makes any version the champion",
            )
        *rest, number = current.before
        gone = sorted({*current.withdrawn, current.version} - {number})
        return _Pointer(
            version=number,
            model_id=verify(resolve(_uri(store, name, number))).model_id,
            before=tuple(rest),
            withdrawn=tuple(gone),
        )

    pointer = _move(store, name, move)
    uri = _uri(store, name, pointer.version)
    return ChampionRef(name=name, version=pointer.version, model_id=pointer.model_id, uri=uri)


def versions(store: Store, name: str) -> list[VersionRef]:
    """Return the published versions of a model, first to last.

    Raises:
        ModelError: The name cannot be used, or a version's marker is damaged.
    """
    found = []
    for key in store.list(f"models/{_checked(name)}/published/"):
        file, dot, kind = key.rpartition("/")[2].partition(".")
        if (dot, kind) == (".", "json") and file.isdecimal():
            published = _parse(_Published, store.read(key), key)
            number = int(file)
            found.append(
                VersionRef(
                    name=name,
                    version=number,
                    model_id=published.model_id,
                    uri=_uri(store, name, number),
                )
            )
    return sorted(found, key=lambda ref: ref.version)


def models(store: Store) -> list[str]:
    """Return the names of the models that have a published version, sorted."""
    parts = (key.split("/") for key in store.list("models/"))
    return sorted({part[1] for part in parts if len(part) == 4 and part[2] == "published"})


def champion(store: Store, name: str) -> ChampionRef | None:
    """Return the champion of a model, or None when nothing was published yet.

    Raises:
        ModelError: The pointer is damaged, or points to what is not published. That must not
            pass for "no champion": a gate would then compare with nothing.
    """
    key = f"models/{_checked(name)}/champion"
    if not store.exists(key):
        return None
    pointer = _parse(_Pointer, store.read(key), key)
    published = _published(store, name, pointer.version)
    if published.model_id != pointer.model_id:
        raise ModelError(
            f"The champion of {name} is not the model it names",
            expected=f"model id {pointer.model_id} as version {pointer.version}",
            received=f"model id {published.model_id}",
        )
    uri = _uri(store, name, pointer.version)
    return ChampionRef(name=name, version=pointer.version, model_id=pointer.model_id, uri=uri)


@dataclass(frozen=True)
class Resolved:
    """What a URI stands for.

    Attributes:
        folder: With the package's files, on this machine; not yet verified.
        name: Of the model in its registry; empty for a folder of its own.
        version: In the registry; None for a folder of its own.
    """

    folder: Path
    name: str = ""
    version: int | None = None


def resolve(uri: str) -> Path:
    """Return a local folder with the package a URI names; `load` then verifies it.

    Args:
        uri: A package folder; an imported `.keras` file with its contract beside it; or
            `…/models/<name>/<n>`, or `…/models/<name>` for its champion, in a store
            (`file://…`, `s3://…`, or a plain path).

    Raises:
        ModelError: There is no such model or version.
        StoreError: The store fails.
    """
    return resolve_version(uri).folder


def resolve_version(uri: str) -> Resolved:
    """Return what a URI stands for, the version too; see `resolve`."""
    path = _local(uri)
    # A version of a registry is asked for as such: a folder may hold a push that died.
    registered = path is not None and (path.absolute().parent / "claims").is_dir()
    if path is not None and (path / SUMS).is_file() and not registered:
        return Resolved(path)
    if path is not None and path.suffix == ".keras" and path.is_file():
        return Resolved(package_of(path))
    try:
        root, key = split_model_uri(path.absolute().as_uri() if path is not None else uri)
    except StoreError as error:
        raise _unknown(uri) from error
    named = _KEY.fullmatch(key)
    if named is None or _NAME.fullmatch(named[1]) is None:
        raise _unknown(uri)
    store, name = open_store(root), named[1]
    if named[2] is not None:
        version = int(named[2])
    else:
        reference = champion(store, name)
        if reference is None:
            raise _unknown(uri)
        version = reference.version
    published = _published(store, name, version)
    folder = _fetch(store, _place(name, version))
    if digest(folder / SUMS) != published.sums:
        raise ModelError(
            f"Version {version} of {name} is not what was published",
            expected=f"{SUMS} of SHA-256 {published.sums}",
            received=f"SHA-256 {digest(folder / SUMS)}",
            hint="Somebody changed files in the store.",
        )
    return Resolved(folder, name, version)


def _local(uri: str) -> Path | None:
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.netloc + parts.path))
    return Path(uri) if "://" not in uri else None


def _fetch(store: Store, place: str) -> Path:
    """Return a folder of the fetched files: the store's own where it has one."""
    sums = store.fetch(f"{place}/{SUMS}")
    names = sorted(read_sums(sums.parent))
    fetched = [sums, *(store.fetch(f"{place}/{name}") for name in names)]
    if fetched == [sums.parent / name for name in [SUMS, *names]]:
        return sums.parent
    folder = Path(tempfile.mkdtemp(prefix="mammo-model-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name, path in zip([SUMS, *names], fetched, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    return folder


def _claim(store: Store, name: str, mine: _Published) -> int:
    """Take the next free version number; a dead push of the same package is taken up again."""
    claims = (key.rpartition("/")[2] for key in store.list(f"models/{name}/claims/"))
    taken = sorted(int(number) for number in claims if number.isdecimal())
    for number in taken:
        if not store.exists(_marker(name, number)) and store.read(_claimed(name, number)) == _json(
            mine
        ):
            return number
    number = max(taken, default=0) + 1
    while not store.write_if(_claimed(name, number), _json(mine), None):
        number += 1
    return number


def _copy(store: Store, folder: Path, place: str) -> None:
    listed = read_sums(folder) | {SUMS: digest(folder / SUMS)}
    # What a dead push left here does not belong to the package.
    for key in list(store.list(f"{place}/")):
        if key.removeprefix(f"{place}/") not in listed:
            store.delete(key)
    # A TensorFlow Serving that watches the folder takes a version once it has this file.
    for name in sorted(listed, key=lambda name: (name == SAVED_MODEL, name)):
        store.put_file(f"{place}/{name}", folder / name)
    for name, expected in listed.items():
        received = digest(store.fetch(f"{place}/{name}"))
        if received != expected:
            raise StoreError(
                f"{name} does not read back as it was written to {place}",
                expected=f"SHA-256 {expected}",
                received=f"SHA-256 {received}",
                hint="Push again; nothing was published.",
            )


def _advance(store: Store, name: str, version: int, model_id: str) -> None:
    """Move the champion to a version unless it stands on a later one, or was withdrawn."""

    def move(current: _Pointer | None) -> _Pointer | None:
        if current is not None and (current.version >= version or version in current.withdrawn):
            return None
        return _followed(current, version, model_id)

    _move(store, name, move)


def _followed(current: _Pointer | None, version: int, model_id: str) -> _Pointer:
    """The pointer after a new champion has followed the current one."""
    if current is None:
        return _Pointer(version=version, model_id=model_id)
    before = (*(one for one in current.before if one != version), current.version)
    withdrawn = tuple(one for one in current.withdrawn if one != version)
    return _Pointer(version=version, model_id=model_id, before=before, withdrawn=withdrawn)


def _move(
    store: Store, name: str, decide: Callable[[_Pointer | None], _Pointer | None]
) -> _Pointer:
    """Move the champion by a conditional write; who lost a race decides again.

    Args:
        store: Where the registry is.
        name: Of the model.
        decide: Gives the new pointer for the current one, or None to leave it.

    Returns:
        The pointer that stands.
    """
    key = f"models/{name}/champion"
    while True:
        held = store.read(key) if store.exists(key) else None
        current = _parse(_Pointer, held, key) if held is not None else None
        wanted = decide(current)
        if wanted is None and current is not None:
            return current
        if wanted is not None and store.write_if(key, _json(wanted), held):
            return wanted


def _published(store: Store, name: str, version: int) -> _Published:
    key = _marker(name, version)
    if not store.exists(key):
        known = ", ".join(str(ref.version) for ref in versions(store, name))
        raise ModelError(
            f"No version {version} of the model {name} in {store.uri}",
            expected=f"a published version: {known or 'there is none yet'}",
            received=str(version),
        )
    return _parse(_Published, store.read(key), key)


def _parse(kind: type[_Kind], data: bytes, key: str) -> _Kind:
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise ModelError(
            f"{key} of the registry cannot be read",
            expected="the JSON object this version writes",
            received=str(error.errors()[0]["msg"]),
        ) from error


def _json(value: BaseModel) -> bytes:
    return (json.dumps(value.model_dump(mode="json"), sort_keys=True) + "\n").encode()


def _place(name: str, version: int) -> str:
    return f"models/{name}/{version}"


def _marker(name: str, version: int) -> str:
    return f"models/{name}/published/{version}.json"


def _claimed(name: str, version: int) -> str:
    return f"models/{name}/claims/{version}"


def _uri(store: Store, name: str, version: int) -> str:
    return f"{store.uri}/{_place(name, version)}"


def _checked(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ModelError(
            "This model name cannot be used",
            expected="letters, digits, '.', '_' and '-', a letter or digit first",
            received=repr(name),
        )
    return name


def _unknown(uri: str) -> ModelError:
    return ModelError(
        "There is no such model",
        expected="a package folder, …/models/<name>/<version>, or …/models/<name> with a champion",
        received=uri,
        hint="`mammo models list --store URI` shows what there is.",
    )
