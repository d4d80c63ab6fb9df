"""Append-only parts of the feature views in the object store."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import pandas as pd

from mammo_core.datasets.tables import from_parquet, to_parquet
from mammo_core.errors import RecordError
from mammo_core.features.definitions import FRAME_VIEWS, VIEWS, View
from mammo_core.store import Store

TIMES = ["event_timestamp", "created"]


def keys(store: Store, folder: str, view: View) -> list[str]:
    """The keys of a view's parts, first to last."""
    return [key for key in store.list(f"{folder}/{view.name}/") if key.endswith(".parquet")]


def state(store: Store, folder: str) -> str:
    """Digest of the parts that frames are made of: it changes whenever one was published."""
    found = [key for view in FRAME_VIEWS for key in keys(store, folder, view)]
    return hashlib.sha256("\n".join(found).encode()).hexdigest()


def append(store: Store, folder: str, view: View, rows: pd.DataFrame, at: datetime) -> int:
    """Write the rows that are new or differ from what the view last said, as one part.

    Args:
        store: The object store.
        folder: Folder of the feature store.
        view: The feature view.
        rows: Its keys and features; keys are unique.
        at: Event time of the new rows (UTC). Rows of this view that are later than that, as
            another machine's clock may have made them, push it behind them.

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
        merged = table.merge(known.drop(columns=TIMES), on=view.columns, how="left", indicator=True)
        table = table[(merged["_merge"] == "left_only").to_numpy()]
    if not len(table):
        return 0
    table = table.sort_values(list(view.keys)).reset_index(drop=True)
    digest = hashlib.sha256(to_parquet(table)).hexdigest()[:16]
    event = pd.Timestamp(at)
    if len(known):
        event = max(event, known["event_timestamp"].max() + pd.Timedelta(microseconds=1))
    stamped = table.assign(
        event_timestamp=event, created=pd.Timestamp(datetime.now(at.tzinfo))
    ).astype(dict.fromkeys(TIMES, "datetime64[us, UTC]"))
    name = f"{folder}/{view.name}/part-{event:%Y%m%dT%H%M%S%f}-{digest}.parquet"
    store.write(name, to_parquet(stamped))
    return len(table)


def rows(store: Store, folder: str, view: View) -> pd.DataFrame:
    """All rows that a view ever had, with their times; empty when there is none."""
    parts = [_read(store, key, view) for key in keys(store, folder, view)]
    if not parts:
        return pd.DataFrame(columns=[*view.columns, *TIMES])
    return pd.concat(parts, ignore_index=True)


def latest(store: Store, folder: str, view: View) -> pd.DataFrame:
    """The last row of each key of a view, with its times; empty when there is none."""
    ordered = rows(store, folder, view).sort_values(TIMES, kind="stable")
    return ordered.drop_duplicates(list(view.keys), keep="last")


def mirror(
    store: Store, folder: str, workspace: Path, views: Iterable[View] = VIEWS
) -> dict[View, pd.Timestamp]:
    """Lay the rows out in a local folder, as Feast's sources read them.

    The registry stays where it is: see `stored_registry`.

    Returns:
        The views that have rows (Feast cannot read the others) → their newest event.
    """
    filled: dict[View, pd.Timestamp] = {}
    for view in views:
        place = workspace / view.name
        place.mkdir(parents=True, exist_ok=True)
        table = rows(store, folder, view)
        if len(table):
            # One file: parts of an older release may lack a column, which Feast cannot read.
            (place / "rows.parquet").write_bytes(to_parquet(table))
            filled[view] = table["event_timestamp"].max()
    return filled


def _read(store: Store, key: str, view: View) -> pd.DataFrame:
    try:
        table = from_parquet(store.fetch(key))
    except (ValueError, OSError) as error:  # pyarrow's faults are these
        raise RecordError(
            f"The part {key} of the feature store is damaged",
            expected="a Parquet file as it was published",
            received=" ".join(str(error).split())[:200],
            hint=f"restore it from a copy of {store.uri}; it holds history that is nowhere else",
        ) from error
    for name, kind in view.fields:
        if name not in table.columns and name in view.optional:
            table[name] = "" if kind == "text" else float("nan")
    missing = [name for name in [*view.columns, *TIMES] if name not in table.columns]
    if missing:
        raise RecordError(
            f"The part {key} of the feature store is not of its view",
            expected=f"the columns {', '.join([*view.columns, *TIMES])}",
            received=f"no {', '.join(missing)}",
            hint="it was written by another release, or is damaged",
        )
    return table[[*view.columns, *TIMES]]


def _typed(rows: pd.DataFrame, view: View) -> pd.DataFrame:
    table = rows.copy()
    for name, kind in view.fields:
        if name in view.optional:
            empty = "" if kind == "text" else float("nan")
            table[name] = table[name].fillna(empty) if name in table.columns else empty
    missing = [name for name in view.columns if name not in table.columns]
    if missing:
        raise RecordError(
            f"Rows for the feature view {view.name} lack columns",
            expected=", ".join(view.columns),
            received=f"no {', '.join(missing)}",
        )
    table = table[view.columns].copy()
    required = [name for name in view.columns if name not in view.optional]
    unknown = [name for name in required if table[name].isna().any()]
    if unknown:
        first = table.loc[table[unknown[0]].isna(), list(view.keys)].iloc[0].to_dict()
        raise RecordError(
            f"Rows for the feature view {view.name} lack values",
            expected="a value in every row, an empty text where there is none",
            received=f"none in {', '.join(unknown)}, the first for {first}",
        )
    kinds = {"text": "object", "integer": "int64", "number": "float64"}
    for key in view.keys:
        table[key] = table[key].astype(str)
    for name, kind in view.fields:
        table[name] = table[name].astype(str if kind == "text" else kinds[kind])
    return table
