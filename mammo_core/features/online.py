"""The online store, for fast lookups of the newest features: SQLite, or a Redis server.

MAMMO_ONLINE_STORE names the server: `redis://host:6379/0` (`rediss://` for TLS), its password
in MAMMO_ONLINE_SECRET (from a Kubernetes Secret on a cluster). Without a server the online
store is a SQLite file, `online.db`, in the folder of the feature store.
"""

import contextlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from mammo_core.errors import RecordError, StoreError
from mammo_core.features import definitions, stored_registry, view_files
from mammo_core.features.definitions import VIEWS, ViewDefinition
from mammo_core.features.join import open_applied, project_of
from mammo_core.store import Store
from mammo_core.store.certificates import ca_bundle

SERVER = "MAMMO_ONLINE_STORE"
PASSWORD = "MAMMO_ONLINE_SECRET"
_FILE = "online.db"
#: A server behind a firewall may not answer at all (seconds).
_TIMEOUTS = ("socket_connect_timeout=5", "socket_timeout=60")


@dataclass(frozen=True)
class ApplyResult:
    """The state of the online store.

    Attributes:
        entities: Names of the entities.
        views: Feature view → number of keys in the online store.
        online: `sqlite`, or `redis` with the server.
    """

    entities: tuple[str, ...]
    views: dict[str, int]
    online: str


def apply(store: Store, folder: str, *, rebuild: bool = False) -> ApplyResult:
    """Write the registry, and the newest rows to the online store.

    Args:
        store: The object store.
        folder: Folder of the feature store.
        rebuild: Remove the rows that are in the online store first.

    Raises:
        RecordError: The registry in the store contains code.
        StoreError: The setting of the online store is not valid, or its server fails.
    """
    server = redis_of(os.environ)
    with (
        stored_registry.leased(store, folder) as lease,
        tempfile.TemporaryDirectory(prefix="mammo-features-") as temporary,
    ):
        workspace = Path(temporary)
        file = f"{folder}/{_FILE}"
        if rebuild:
            store.delete(file)
        etag = stored_registry.etag_of(store, file)
        newest = view_files.mirror(store, folder, workspace)
        with _as_store_errors(server):
            feast = open_applied(store, folder, workspace, server or _sqlite(workspace))
            if rebuild and server:
                _empty_server(feast)
            if newest:
                # Events can be ahead of our clock: see `append_rows`.
                end = max([pd.Timestamp(datetime.now(UTC)), *newest.values()])
                with contextlib.redirect_stdout(io.StringIO()), _hide_progress():
                    feast.materialize(
                        datetime(2000, 1, 1, tzinfo=UTC),
                        end.to_pydatetime() + timedelta(seconds=1),
                        feature_views=[view.name for view in newest],
                    )
        lease.check()
        if server is None and not stored_registry.swap(store, file, workspace / _FILE, etag):
            raise StoreError(
                f"The online store {file} in {store.uri} was written by another process",
                expected="the file that was there at the start",
                received="another one",
                hint="run the same command again: its rows may be newer",
            )
        # Feast has added the time of the materialization.
        key = stored_registry.key_of(folder)
        etag = stored_registry.etag_of(store, key)
        stored_registry.swap(store, key, workspace / "registry.db", etag)
    counts = {view.name: len(view_files.latest_rows(store, folder, view)) for view in VIEWS}
    return ApplyResult(
        tuple(definitions.ENTITIES), counts, f"redis {_address(server)}" if server else "sqlite"
    )


def forget_rows(store: Store, folder: str) -> bool:
    """Rebuild an online store from the rows that the feature store still has.

    Args:
        store: The object store.
        folder: Folder of the feature store.

    Returns:
        Whether there is an online store.

    Raises:
        RecordError: The registry in the store contains code.
        StoreError: The setting of the online store is not valid, or its server fails.
    """
    if redis_of(os.environ) is None and not store.exists(f"{folder}/{_FILE}"):
        return False
    apply(store, folder, rebuild=True)
    return True


def _empty_server(feast: Any) -> None:
    """Delete the rows of every view of a project from its Redis server."""
    from feast.infra.online_stores.redis import RedisOnlineStore

    redis = RedisOnlineStore()
    for keys in {view.keys for view in VIEWS}:
        redis.delete_entity_values(feast.config, list(keys))


def look_up(
    store: Store, folder: str, view: ViewDefinition, keys: Sequence[Mapping[str, str]]
) -> pd.DataFrame:
    """Return the features of some keys in the online store.

    Args:
        store: The object store.
        folder: Folder of the feature store.
        view: The feature view.
        keys: For each row, the value of each join key of the view.

    Returns:
        Keys and features, one row per key, in the order of `keys`.

    Raises:
        RecordError: There is no online store, a key is unknown, or the registry contains code.
        StoreError: The server fails.
    """
    server = redis_of(os.environ)
    stored_registry.require_no_code(store, folder)
    for key in ("registry.db", *([] if server else [_FILE])):
        if not store.exists(f"{folder}/{key}"):
            raise RecordError(
                f"There is no online store of {folder} in {store.uri}",
                expected=f"{folder}/{key}",
                received="none",
                hint=f"run `mammo features apply --store {store.uri}` first",
            )
    with (
        tempfile.TemporaryDirectory(prefix="mammo-features-") as temporary,
        _as_store_errors(server),
    ):
        workspace = Path(temporary)
        # Opened without an online store, so that only the registry is written.
        definitions.apply(definitions.open_feast(workspace, project_of(folder)))
        if server is None:
            shutil.copyfile(store.fetch(f"{folder}/{_FILE}"), workspace / _FILE)
        feast = definitions.open_feast(workspace, project_of(folder), server or _sqlite(workspace))
        answer = feast.get_online_features(
            features=[f"{view.name}:{name}" for name, _ in view.fields],
            entity_rows=[dict(key) for key in keys],
        ).to_df()
    required = [name for name, _ in view.fields if name not in view.optional]
    missing = answer[answer[required].isna().any(axis=1)]
    if len(missing):
        first = missing[list(view.keys)].iloc[0].to_dict()
        raise RecordError(
            f"The online store has no {view.name} of {len(missing)} keys",
            expected="keys that are published and in the online store",
            received=f"unknown keys, the first {first}",
            hint=f"`mammo features apply --store {store.uri}` writes the newest rows to it",
        )
    return answer[view.columns]


def redis_of(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """Return Feast's configuration of the Redis server in the environment; None for SQLite.

    Raises:
        StoreError: The setting is not a redis:// URI, or contains a password.
    """
    uri = environment.get(SERVER, "")
    if not uri or uri == "sqlite":
        return None
    expected = f"{SERVER} as redis://host:port or rediss://host:port/number"
    try:
        url = urlsplit(uri)
        number = int(url.path.strip("/") or 0)
        valid = url.scheme in ("redis", "rediss") and url.hostname and not url.query
        port = url.port or 6379
    except ValueError:
        valid = False
    if "@" in uri:
        raise StoreError(
            "The address of the online store contains credentials",
            expected=f"{expected}, and the password in {PASSWORD}",
            received="an address with '@'",
        )
    if not valid:
        raise StoreError(
            "The address of the online store is not valid", expected=expected, received=repr(uri)
        )
    options = [f"{url.hostname}:{port}", f"db={number}", *_TIMEOUTS]
    if environment.get(PASSWORD):
        # Feast splits at commas and parses values as JSON: 12e3 must stay a text.
        options.append("password=" + json.dumps(environment[PASSWORD]).replace(",", r"\u002c"))
    if url.scheme == "rediss":
        options.append("ssl=true")
        authorities = ca_bundle(environment)
        if authorities is not None:
            options.append("ssl_ca_certs=" + json.dumps(authorities).replace(",", r"\u002c"))
    return {"type": "redis", "connection_string": ",".join(options)}


def _sqlite(workspace: Path) -> dict[str, Any]:
    return {"type": "sqlite", "path": str(workspace / _FILE)}


def _address(server: Mapping[str, Any]) -> str:
    """Return the address of the server, without its password."""
    return str(server["connection_string"]).partition(",")[0]


@contextlib.contextmanager
def _as_store_errors(server: Mapping[str, Any] | None) -> Any:
    """Turn errors of a Redis server into StoreErrors, without its password."""
    try:
        yield
    except Exception as error:
        if server is None or isinstance(error, (RecordError, StoreError)):
            raise
        missing = find_spec("redis") is None
        raise StoreError(
            f"The online store at {_address(server)} cannot be used",
            expected="the Python package redis, as pinned in requirements"
            if missing
            else f"a Redis server that answers, and its password, if any, in {PASSWORD}",
            received="no such package" if missing else type(error).__name__,
            hint=f"unset {SERVER} to use SQLite",
        ) from None


@contextlib.contextmanager
def _hide_progress() -> Any:
    """Hide Feast's progress bars."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield
