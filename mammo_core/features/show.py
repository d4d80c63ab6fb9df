"""Summaries and rows of the feature store, to show to people."""

from typing import Any

import pandas as pd

from mammo_core.errors import RecordError
from mammo_core.features import stored_registry, view_files
from mammo_core.features.definitions import VIEWS, ViewDefinition
from mammo_core.store import Store


def view_by_name(name: str) -> ViewDefinition:
    """Return a view by its name; RecordError lists the names."""
    for view in VIEWS:
        if view.name == name:
            return view
    raise RecordError(
        f"There is no feature view {name}",
        expected=f"one of {', '.join(view.name for view in VIEWS)}",
        received=name,
    )


def summarize_views(store: Store, folder: str) -> list[dict[str, Any]]:
    """Return a summary of every view.

    Returns:
        For each view: name, entities (join keys), features, keys (distinct ones), rows (with
        the history), files, oldest_event and newest_event (UTC, ISO 8601; None for an empty
        view).

    Raises:
        RecordError: The registry contains code.
    """
    stored_registry.require_no_code(store, folder)
    summaries = []
    for view in VIEWS:
        rows = view_files.read_rows(store, folder, view)
        events = rows["event_timestamp"] if len(rows) else None
        summaries.append(
            {
                "name": view.name,
                "entities": list(view.keys),
                "features": [name for name, _ in view.fields],
                "keys": len(rows.drop_duplicates(list(view.keys))),
                "rows": len(rows),
                "files": len(view_files.list_files(store, folder, view)),
                "oldest_event": None if events is None else _time(events.min()),
                "newest_event": None if events is None else _time(events.max()),
            }
        )
    return summaries


def read_history(store: Store, folder: str, view: ViewDefinition, id: str = "") -> pd.DataFrame:
    """Return the rows of a view, oldest first: keys, features and event_timestamp.

    Args:
        store: The object store.
        folder: Folder of the feature store.
        view: The view.
        id: Only rows with this image_id or lesion_id; empty for all.

    Raises:
        RecordError: The view has no row of the id, or the registry contains code.
    """
    stored_registry.require_no_code(store, folder)
    rows = view_files.read_rows(store, folder, view).sort_values(
        [*view_files.TIMES, *view.keys], kind="stable"
    )
    if id:
        rows = rows[rows[view.keys[0]] == id]
        if not len(rows):
            raise RecordError(
                f"The feature view {view.name} has no {view.keys[0]} {id}",
                expected="an id that was published",
                received="an unknown id",
            )
    return rows.drop(columns="created").reset_index(drop=True)


def _time(value: pd.Timestamp) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}"
