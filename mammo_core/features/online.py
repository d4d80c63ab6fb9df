"""The newest features for quick look-ups: SQLite beside the parts, or a Redis server.

MAMMO_ONLINE_STORE names the server: `redis://host:6379/0` (`rediss://` for TLS), its password
in MAMMO_ONLINE_SECRET (from a Kubernetes Secret on a cluster). Without it the online store
is a SQLite file, `online.db`, that is published whole in the feature store's folder.
"""

import contextlib
import io
import json
import os
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
from mammo_core.features import definitions, parts, stored_registry
from mammo_core.features.definitions import VIEWS, View
from mammo_core.features.join import open_applied, project_of
from mammo_core.store import Store

SERVER = "MAMMO_ONLINE_STORE"
PASSWORD = "MAMMO_ONLINE_SECRET"
_FILE = "online.db"
#: A server behind a closed network answers nothing at all (seconds).
_TIMEOUTS = ("socket_connect_timeout=5", "socket_timeout=60")


@dataclass(frozen=True)
class Applied:
    """What `apply` did.

    Attributes:
        entities: Names of the entities.
        views: View → keys in the online store; 0 where it has no rows yet.
        online: `sqlite`, or `redis` with the server.
    """

    entities: tuple[str, ...]
    views: dict[str, int]
    online: str


def apply(store: Store, folder: str) -> Applied:
    """Write the registry, and bring the online store to the newest rows.

    Args:
        store: The object store.
        folder: Folder of the feature store.

    Raises:
        RecordError: The registry in the store carries code.
        StoreError: The online store's setting cannot be used, or its server fails.
    """
    server = redis_of(os.environ)
    with (
        stored_registry.leased(store, folder),
        tempfile.TemporaryDirectory(prefix="mammo-features-") as place,
    ):
        workspace = Path(place)
        newest = parts.mirror(store, folder, workspace)
        with _told(server):
            feast = open_applied(store, folder, workspace, server or _sqlite(workspace))
            if newest:
                # Events can be microseconds ahead of our clock: see `parts.append`.
                end = max([pd.Timestamp(datetime.now(UTC)), *newest.values()])
                with contextlib.redirect_stdout(io.StringIO()), _quiet():
                    feast.materialize(
                        datetime(2000, 1, 1, tzinfo=UTC),
                        end.to_pydatetime() + timedelta(seconds=1),
                        feature_views=[view.name for view in newest],
                    )
        if server is None:
            store.put_file(f"{folder}/{_FILE}", workspace / _FILE)
        # Feast notes what was brought online.
        store.put_file(stored_registry.key_of(folder), workspace / "registry.db")
    counts = {view.name: len(parts.latest(store, folder, view)) for view in VIEWS}
    return Applied(
        tuple(definitions.ENTITIES), counts, f"redis {_place(server)}" if server else "sqlite"
    )


def look_up(
    store: Store, folder: str, view: View, keys: Sequence[Mapping[str, str]]
) -> pd.DataFrame:
    """Return the features that the online store has for keys.

    Args:
        store: The object store.
        folder: Folder of the feature store.
        view: Of which view.
        keys: A value for each join key of the view.

    Returns:
        One row for each key, in order: keys and features.

    Raises:
        RecordError: Nothing is online yet, a key is unknown, or the registry carries code.
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
    with tempfile.TemporaryDirectory(prefix="mammo-features-") as place, _told(server):
        workspace = Path(place)
        # Without an online store there is nothing but the registry that this writes to.
        definitions.apply(definitions.open_feast(workspace, project_of(folder)))
        if server is None:
            (workspace / _FILE).write_bytes(store.read(f"{folder}/{_FILE}"))
        feast = definitions.open_feast(workspace, project_of(folder), server or _sqlite(workspace))
        answer = feast.get_online_features(
            features=[f"{view.name}:{name}" for name, _ in view.fields],
            entity_rows=[dict(key) for key in keys],
        ).to_df()
    required = [name for name, _ in view.fields if name not in view.optional]
    lacking = answer[answer[required].isna().any(axis=1)]
    if len(lacking):
        unknown = lacking[list(view.keys)].iloc[0].to_dict()
        raise RecordError(
            f"The online store has no {view.name} of {len(lacking)} keys",
            expected="keys that were published and brought online",
            received=f"the unknown {unknown}",
            hint=f"`mammo features apply --store {store.uri}` brings the newest rows online",
        )
    return answer[view.columns]


def redis_of(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """Return Feast's configuration of the Redis server that the environment names, or None.

    Raises:
        StoreError: The setting is no redis:// URI, or holds a password.
    """
    told = environment.get(SERVER, "")
    if not told or told == "sqlite":
        return None
    expected = f"{SERVER} as redis://host:port or rediss://host:port/number"
    try:
        parts = urlsplit(told)
        number = int(parts.path.strip("/") or 0)
        usable = parts.scheme in ("redis", "rediss") and parts.hostname and not parts.query
        port = parts.port or 6379
    except ValueError:
        usable = False
    if "@" in told:
        raise StoreError(
            "The online store's address holds credentials",
            expected=f"{expected}, and the password in {PASSWORD}",
            received="an address with '@'",
        )
    if not usable:
        raise StoreError("The online store cannot be used", expected=expected, received=repr(told))
    options = [f"{parts.hostname}:{port}", f"db={number}", *_TIMEOUTS]
    if environment.get(PASSWORD):
        # Feast divides at commas and reads JSON: 12e3 must stay a text.
        options.append("password=" + json.dumps(environment[PASSWORD]).replace(",", r"\u002c"))
    if parts.scheme == "rediss":
        options.append("ssl=true")
    return {"type": "redis", "connection_string": ",".join(options)}


def _sqlite(workspace: Path) -> dict[str, Any]:
    return {"type": "sqlite", "path": str(workspace / _FILE)}


def _place(server: Mapping[str, Any]) -> str:
    """The server without its password."""
    return str(server["connection_string"]).partition(",")[0]


@contextlib.contextmanager
def _told(server: Mapping[str, Any] | None) -> Any:
    """Tell faults of a Redis server as ours, without its password."""
    try:
        yield
    except Exception as error:
        if server is None or isinstance(error, (RecordError, StoreError)):
            raise
        absent = find_spec("redis") is None
        raise StoreError(
            f"The online store at {_place(server)} cannot be used",
            expected="the Python package redis, as the pins have it"
            if absent
            else f"a Redis server that answers, and its password in {PASSWORD} if it has one",
            received="none" if absent else type(error).__name__,
            hint=f"unset {SERVER} to use SQLite",
        ) from None


@contextlib.contextmanager
def _quiet() -> Any:
    """Keep Feast's progress bars from the terminal."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield
