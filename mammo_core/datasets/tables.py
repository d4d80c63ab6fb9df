"""Tables as Parquet in the store."""

import io
from pathlib import Path

import pandas as pd

from mammo_core.datasets.manifests import Manifest, StoredFile, fetch_verified, put_bytes
from mammo_core.store import Store


def to_parquet(table: pd.DataFrame) -> bytes:
    """Return a table as Parquet: the same rows give the same bytes."""
    buffer = io.BytesIO()
    # No pandas metadata: it holds library versions.
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = pa.Table.from_pandas(table.reset_index(drop=True), preserve_index=False)
    pq.write_table(arrow.replace_schema_metadata(None), buffer, compression="zstd")
    return buffer.getvalue()


def from_parquet(source: Path | bytes) -> pd.DataFrame:
    """Read Parquet, in this thread alone.

    Arrow's own threads may still be starting when a short process ends, and end it by SIGABRT.

    Args:
        source: The file, or what is in it.

    Raises:
        ValueError: It is no Parquet.
        OSError: It is damaged, or cannot be read.
    """
    import pyarrow.parquet as pq

    file = io.BytesIO(source) if isinstance(source, bytes) else source
    with pq.ParquetFile(file, pre_buffer=False) as opened:
        table: pd.DataFrame = opened.read(use_threads=False).to_pandas(use_threads=False)
    return table


def put_table(store: Store, folder: str, name: str, table: pd.DataFrame) -> StoredFile:
    """Write a table as a Parquet file of an output."""
    stored = put_bytes(store, folder, name, to_parquet(table))
    return stored.model_copy(update={"count": len(table)})


def read_table(store: Store, manifest: Manifest, name: str) -> pd.DataFrame:
    """Read a table of an output."""
    return from_parquet(fetch_verified(store, manifest.file(name)))
