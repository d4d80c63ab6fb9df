"""The tables that both pipelines publish besides records."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from mammo_core.datasets import Manifest, StoredFile
from mammo_core.datasets.tables import put_table
from mammo_core.ingest.parts import Part
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


def share_manifest(dataset: Manifest, parts: list[Part], counted: str) -> Manifest:
    """Return what one share of an output's shards is: a manifest that is never published.

    Args:
        dataset: The output, without files.
        parts: The finished shards.
        counted: What the images of the shards are counted as.
    """
    made = [one for part in parts for one in part.made]
    files = tuple(part.file for part in parts if part.file is not None)
    counts = {"shards": len(parts), counted: sum(bool(one.rows) for one in made)}
    return dataset.model_copy(update={"files": files, "counts": counts})
