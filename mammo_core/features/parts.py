"""Append-only parts of the feature views in the object store."""

import hashlib
import os
import shutil
from datetime import datetime
from pathlib import Path

import pandas as pd

from mammo_core.datasets.tables import to_parquet
from mammo_core.errors import RecordError
from mammo_core.features.definitions import VIEWS, View
from mammo_core.store import Store

_TIMES = ["event_timestamp", "created"]


def state(store: Store, folder: str) -> str:
    """Digest of which parts there are: it changes whenever something was published."""
    keys = [key for key in store.list(folder) if key.endswith(".parquet")]
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()


def append(store: Store, folder: str, view: View, rows: pd.DataFrame, at: datetime) -> int:
    """Write the rows that are new or differ from what the view last said, as one part.

    Args:
        store: The object store.
        folder: Folder of the feature store.
        view: The feature view.
        rows: Its keys and features; keys are unique.
        at: Event time of the new rows (UTC).

    Returns:
        Number of rows written; 0 when all of them are known.
    """
    table = _typed(rows, view)
    if table.duplicated(list(view.keys)).any():
        twice = table.loc[table.duplicated(list(view.keys)), list(view.keys)].iloc[0].to_dict()
        raise RecordError(
            f"The feature view {view.name} got a key twice",
            expected="one row for each key",
            received=f"several for {twice}",
        )
    known = latest(store, folder, view)
    if len(known):
        merged = table.merge(
            known.drop(columns=_TIMES), on=view.columns, how="left", indicator=True
        )
        table = table[(merged["_merge"] == "left_only").to_numpy()]
    if not len(table):
        return 0
    table = table.sort_values(list(view.keys)).reset_index(drop=True)
    digest = hashlib.sha256(to_parquet(table)).hexdigest()[:16]
    stamped = table.assign(
        event_timestamp=pd.Timestamp(at), created=pd.Timestamp(datetime.now(at.tzinfo))
    )
    name = f"{folder}/{view.name}/part-{at:%Y%m%dT%H%M%S%f}-{digest}.parquet"
    store.write(name, to_parquet(stamped))
    return len(table)


def latest(store: Store, folder: str, view: View) -> pd.DataFrame:
    """The last row of each key of a view, with its times; empty when there is none."""
    keys = [key for key in store.list(f"{folder}/{view.name}/") if key.endswith(".parquet")]
    if not keys:
        return pd.DataFrame(columns=[*view.columns, *_TIMES])
    parts = pd.concat([pd.read_parquet(store.fetch(key)) for key in keys], ignore_index=True)
    return parts.sort_values(_TIMES).drop_duplicates(list(view.keys), keep="last")


def mirror(store: Store, folder: str, workspace: Path) -> None:
    """Lay the parts out in a local folder, as Feast's sources read them."""
    for view in VIEWS:
        (workspace / view.name).mkdir(parents=True, exist_ok=True)
    for key in store.list(folder):
        target = workspace / key.removeprefix(f"{folder}/")
        target.parent.mkdir(parents=True, exist_ok=True)
        found = store.fetch(key)
        if key.endswith(".parquet"):
            # Parts never change, so a link is as good as a copy.
            try:
                os.link(found, target)
                continue
            except OSError:
                pass
        shutil.copyfile(found, target)


def _typed(rows: pd.DataFrame, view: View) -> pd.DataFrame:
    missing = [name for name in view.columns if name not in rows.columns]
    if missing:
        raise RecordError(
            f"Rows for the feature view {view.name} lack columns",
            expected=", ".join(view.columns),
            received=f"no {', '.join(missing)}",
        )
    table = rows[view.columns].copy()
    unknown = [name for name in view.columns if table[name].isna().any()]
    if unknown:
        raise RecordError(
            f"Rows for the feature view {view.name} lack values",
            expected="a value in every row, an empty text where there is none",
            received=f"none in {', '.join(unknown)}",
        )
    kinds = {"text": "object", "integer": "int64", "number": "float64"}
    for key in view.keys:
        table[key] = table[key].astype(str)
    for name, kind in view.fields:
        table[name] = table[name].astype(str if kind == "text" else kinds[kind])
    return table
