"""The files of the feature views in the object store: Parquet, append-only."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd

from mammo_core.datasets.tables import from_parquet, to_parquet
from mammo_core.errors import RecordError
from mammo_core.features.definitions import FRAME_VIEWS, VIEWS, ViewDefinition
from mammo_core.store import Store

TIMES = ["event_timestamp", "created"]


def list_files(store: Store, folder: str, view: ViewDefinition) -> list[str]:
    """Return the keys of the files of a view, oldest first."""
    return [key for key in store.list(f"{folder}/{view.name}/") if key.endswith(".parquet")]


def frame_state(store: Store, folder: str) -> str:
    """Return a digest of the files that frames are made of; every new file changes it."""
    names = [key for view in FRAME_VIEWS for key in list_files(store, folder, view)]
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def append_rows(
    store: Store, folder: str, view: ViewDefinition, rows: pd.DataFrame, at: datetime
) -> int:
    """Write the rows that are new, or differ from the latest row of their key, as one file.

    Args:
        store: The object store.
        folder: Folder of the feature store.
        view: The feature view.
        rows: Its keys and features; keys are unique.
        at: Event time of the new rows (UTC). If the view has later rows, for instance by the
            clock of another machine, the event time is just after theirs.

    Returns:
        Number of rows written; 0 if the view already has all of them.
    """
    table = _with_types(rows, view)
    if table.duplicated(list(view.keys)).any():
        duplicate = table.loc[table.duplicated(list(view.keys)), list(view.keys)].iloc[0].to_dict()
        raise RecordError(
            f"The feature view {view.name} has a duplicate key",
            expected="one row per key",
            received=f"several for {duplicate}",
        )
    latest = latest_rows(store, folder, view)
    if len(latest):
        known = pd.util.hash_pandas_object(latest[view.columns], index=False)
        rows_hashed = pd.util.hash_pandas_object(table, index=False)
        table = table[~rows_hashed.isin(set(known)).to_numpy()]
    if not len(table):
        return 0
    table = table.sort_values(list(view.keys)).reset_index(drop=True)
    digest = hashlib.sha256(to_parquet(table)).hexdigest()[:16]
    event = pd.Timestamp(at)
    if len(latest):
        event = max(event, latest["event_timestamp"].max() + pd.Timedelta(microseconds=1))
    times = (event, pd.Timestamp(datetime.now(at.tzinfo)))
    for column, time in zip(TIMES, times, strict=True):  # no copy: the table may be large
        table[column] = pd.Series(time, table.index, dtype="datetime64[us, UTC]")
    name = f"{folder}/{view.name}/rows-{event:%Y%m%dT%H%M%S%f}-{digest}.parquet"
    store.write_if(name, to_parquet(table), None)  # never replaced
    return len(table)


def read_rows(store: Store, folder: str, view: ViewDefinition) -> pd.DataFrame:
    """Return all rows of a view, history included, with their times."""
    tables = [_read(store, key, view) for key in list_files(store, folder, view)]
    if not tables:
        return pd.DataFrame(columns=[*view.columns, *TIMES])
    return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)


def latest_rows(store: Store, folder: str, view: ViewDefinition) -> pd.DataFrame:
    """Return the latest row of each key of a view, with its times."""
    ordered = read_rows(store, folder, view).sort_values(TIMES, kind="stable")
    return ordered.drop_duplicates(list(view.keys), keep="last")


def mirror(
    store: Store, folder: str, workspace: Path, views: Iterable[ViewDefinition] = VIEWS
) -> dict[ViewDefinition, pd.Timestamp]:
    """Copy the rows to a local folder, where Feast reads them.

    The registry is not copied: see `stored_registry`.

    Returns:
        Feature view → its newest event, without empty views, which Feast cannot read.
    """
    newest: dict[ViewDefinition, pd.Timestamp] = {}
    for view in views:
        view_folder = workspace / view.name
        view_folder.mkdir(parents=True, exist_ok=True)
        table = read_rows(store, folder, view)
        if len(table):
            # One file, because Feast cannot read files with different columns.
            (view_folder / "rows.parquet").write_bytes(to_parquet(table))
            newest[view] = table["event_timestamp"].max()
    return newest


def mirror_parts(
    store: Store,
    folder: str,
    workspace: Path,
    views: Iterable[ViewDefinition],
    parts: Sequence[Sequence[str]],
) -> tuple[list[set[ViewDefinition]], pd.Timestamp | None]:
    """Copy the rows of some ids to local folders, a part of the ids to each.

    Feast reads whole files and joins them in memory, so that a large source is joined in parts.

    Args:
        store: The object store.
        folder: Folder of the feature store.
        workspace: Gets `part-<number>/<view>/rows.parquet`.
        views: Views whose first key is that of the ids.
        parts: The ids of each part, sorted, and the parts in order.

    Returns:
        The views with rows in each part, and the newest event of all rows of the views.
    """
    filled: list[set[ViewDefinition]] = [set() for _ in parts]
    newest: list[pd.Timestamp] = []
    numbers = pd.Series(
        [number for number, part in enumerate(parts) for _ in part],
        index=[id for part in parts for id in part],
        dtype="float64",
    )
    for view in views:
        table = read_rows(store, folder, view)
        if not len(table):
            continue
        newest.append(table["event_timestamp"].max())
        number_of_row = table[view.keys[0]].map(numbers)
        for number in range(len(parts)):
            rows = table[number_of_row == number]
            if len(rows):
                path = workspace / f"part-{number}" / view.name
                path.mkdir(parents=True, exist_ok=True)
                # One file, because Feast cannot read files with different columns.
                (path / "rows.parquet").write_bytes(to_parquet(rows))
                filled[number].add(view)
    return filled, max(newest, default=None)


def _read(store: Store, key: str, view: ViewDefinition) -> pd.DataFrame:
    try:
        table = from_parquet(store.fetch(key))
    except (ValueError, OSError) as error:  # pyarrow's errors
        raise RecordError(
            f"The file {key} of the feature store is damaged",
            expected="the Parquet file that was published",
            received=" ".join(str(error).split())[:200],
            hint=f"restore it from a backup of {store.uri}: its history is nowhere else",
        ) from error
    for name, kind in view.fields:
        if name not in table.columns and name in view.optional:
            table[name] = "" if kind == "text" else float("nan")
    missing = [name for name in [*view.columns, *TIMES] if name not in table.columns]
    if missing:
        raise RecordError(
            f"The file {key} of the feature store lacks columns of its view",
            expected=f"the columns {', '.join([*view.columns, *TIMES])}",
            received=f"no {', '.join(missing)}",
            hint="it was written by another version, or is damaged",
        )
    return table[[*view.columns, *TIMES]]


def _with_types(rows: pd.DataFrame, view: ViewDefinition) -> pd.DataFrame:
    table = rows[[name for name in view.columns if name in rows]].copy(deep=False)
    for name, kind in view.fields:
        if name in view.optional:
            empty = "" if kind == "text" else float("nan")
            if name not in table.columns:
                table[name] = empty
            elif kind == "text":
                table[name] = table[name].fillna(empty)
            else:  # numbers, or True, False and None
                table[name] = table[name].astype("float64")
    missing = [name for name in view.columns if name not in table.columns]
    if missing:
        raise RecordError(
            f"Rows for the feature view {view.name} lack columns",
            expected=", ".join(view.columns),
            received=f"no {', '.join(missing)}",
        )
    table = table[view.columns].copy(deep=False)
    required = [name for name in view.columns if name not in view.optional]
    missing_values = [name for name in required if table[name].isna().any()]
    if missing_values:
        first = table.loc[table[missing_values[0]].isna(), list(view.keys)].iloc[0].to_dict()
        raise RecordError(
            f"Rows for the feature view {view.name} lack values",
            expected="a value in every row, or an empty text",
            received=f"no value of {', '.join(missing_values)}, the first for {first}",
        )
    kinds = {"text": "object", "integer": "int64", "number": "float64", "flag": "float64"}
    for key in view.keys:
        table[key] = table[key].astype(str)
    for name, kind in view.fields:
        table[name] = table[name].astype(str if kind == "text" else kinds[kind])
    return table
