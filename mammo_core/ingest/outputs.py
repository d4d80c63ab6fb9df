"""The tables that both pipelines publish besides records."""

from collections.abc import Iterable

import pandas as pd

from mammo_core.datasets import Manifest, StoredFile
from mammo_core.datasets.tables import put_table
from mammo_core.ingest.planned_shards import Part
from mammo_core.store import Store

_REJECTS = ["item", "kind", "reason", "step"]


def put_rows(
    store: Store, folder: str, name: str, rows: pd.DataFrame, columns: list[str]
) -> StoredFile:
    """Write rows, sorted by the first columns, as a table that has its columns even when empty."""
    table = rows[columns] if len(rows) else pd.DataFrame(columns=columns)
    return put_table(store, folder, name, table.sort_values(columns[:3], kind="stable"))


def put_rejects(store: Store, folder: str, rejects: Iterable[dict[str, str]]) -> StoredFile:
    """Write the table of rejects of an output."""
    table = pd.DataFrame(list(rejects), columns=_REJECTS)
    return put_rows(store, folder, "rejects.parquet", table, _REJECTS)


def partition_manifest(dataset: Manifest, parts: list[Part]) -> Manifest:
    """Return what one share of an output's shards is: a manifest that is never published.

    Args:
        dataset: The output, without files.
        parts: The finished shards.
    """
    made = [one for part in parts for one in part.made]
    files = tuple(part.file for part in parts if part.file is not None)
    counts = {"shards": len(parts), "images": sum(bool(one.rows) for one in made)}
    return dataset.model_copy(update={"files": files, "counts": counts})
