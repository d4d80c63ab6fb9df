"""What both pipelines publish besides records: tables, and their end."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from mammo_core.datasets import Manifest, StoredFile, find
from mammo_core.datasets.tables import put_table
from mammo_core.errors import RecordError
from mammo_core.store import Store

_REJECTS = ["item", "kind", "reason", "step"]


def put_rows(
    store: Store, folder: str, name: str, rows: Iterable[dict[str, Any]], columns: list[str]
) -> StoredFile:
    """Write rows, sorted by the first column, as a table that has its columns even when empty."""
    ordered = sorted(rows, key=lambda row: [str(row[column]) for column in columns[:3]])
    return put_table(store, folder, name, pd.DataFrame(ordered, columns=columns))


def put_rejects(store: Store, folder: str, rejects: Iterable[dict[str, str]]) -> StoredFile:
    """Write the table of rejects of an output."""
    return put_rows(store, folder, "rejects.parquet", rejects, _REJECTS)


def published(store: Store, dataset: Manifest) -> Manifest:
    """Return the manifest that a pipeline published: its success is that, not its return.

    Raises:
        RecordError: When there is none.
    """
    found = find(store, dataset.kind, dataset.id)
    if found is None:
        raise RecordError(
            f"The pipeline of {dataset.folder} ended without its manifest",
            expected=f"{dataset.key} in the store",
            received="none",
        )
    return found
