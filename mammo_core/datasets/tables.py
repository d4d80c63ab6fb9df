"""Tables as Parquet in the store."""

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mammo_core.datasets.manifests import Manifest, StoredFile, fetch_verified, put_bytes
from mammo_core.processes import give_back_memory
from mammo_core.store import Store

if TYPE_CHECKING:
    from collections.abc import Collection

    import pandas as pd

#: The largest table has a row for each patch.
_MAXIMUM_ROWS = 50_000_000
_MAXIMUM_COLUMNS = 1_000


def to_parquet(table: "pd.DataFrame") -> bytes:
    """Return a table as Parquet; equal tables give equal bytes."""
    buffer = io.BytesIO()
    # Without pandas metadata, which contains library versions.
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = pa.Table.from_pandas(table.reset_index(drop=True), preserve_index=False)
    pq.write_table(arrow.replace_schema_metadata(None), buffer, compression="zstd")
    del arrow
    give_back_memory()  # as much as the table
    return buffer.getvalue()


def from_parquet(source: Path | bytes, without: "Collection[str]" = ()) -> "pd.DataFrame":
    """Read a Parquet file in the calling thread only.

    Arrow's own threads may still be starting when a short process ends, and then abort it
    (SIGABRT).

    Args:
        source: The file, or its content.
        without: Columns that are not read.

    Raises:
        ValueError: The content is not Parquet.
        OSError: The file is damaged, or cannot be read.
    """
    import pyarrow.parquet as pq

    file = io.BytesIO(source) if isinstance(source, bytes) else source
    with pq.ParquetFile(file, pre_buffer=False) as parquet:
        # A few bytes can stand for any number of equal rows.
        if parquet.metadata.num_rows > _MAXIMUM_ROWS or len(parquet.schema) > _MAXIMUM_COLUMNS:
            raise ValueError(
                f"{parquet.metadata.num_rows} rows of {len(parquet.schema)} columns, more than "
                f"{_MAXIMUM_ROWS} of {_MAXIMUM_COLUMNS}"
            )
        names = [name for name in parquet.schema_arrow.names if name not in without]
        arrow = parquet.read(names, use_threads=False)
        table: pd.DataFrame = arrow.to_pandas(use_threads=False)
    return table


@dataclass(frozen=True)
class EncodedTable:
    """A table as Parquet, encoded once for its digest and its file.

    Attributes:
        name: Name of its file.
        data: Its bytes.
        count: Its rows.
    """

    name: str
    data: bytes = field(repr=False)
    count: int

    @classmethod
    def of(cls, name: str, table: "pd.DataFrame") -> "EncodedTable":
        """Encode a table: see `to_parquet`."""
        return cls(name, to_parquet(table), len(table))

    @property
    def digest(self) -> tuple[str, str]:
        """Name and SHA-256, as an id by content needs them."""
        return self.name, hashlib.sha256(self.data).hexdigest()

    def put(self, store: Store, folder: str) -> StoredFile:
        """Write it as a file of an output."""
        stored = put_bytes(store, folder, self.name, self.data)
        return stored.model_copy(update={"count": self.count})


def put_table(store: Store, folder: str, name: str, table: "pd.DataFrame") -> StoredFile:
    """Write a table as a Parquet file of an output."""
    return EncodedTable.of(name, table).put(store, folder)


def read_table(
    store: Store, manifest: Manifest, name: str, without: "Collection[str]" = ()
) -> "pd.DataFrame":
    """Read a table of an output, without columns that take much memory and are not needed."""
    return from_parquet(fetch_verified(store, manifest.file(name)), without)
