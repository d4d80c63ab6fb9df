"""Long lists of shards, in a table beside the manifest.

A manifest of half a million images would name tens of thousands of shards, and millions of excluded
records: too long to be passed from step to step. Such a manifest lists the table of its shards in
their place; whoever reads it from a store has them all.
"""

import hashlib
import io
from typing import TYPE_CHECKING, Final

from mammo_core.datasets.manifests import SHARD_TABLE, Manifest, StoredFile, fetch_verified
from mammo_core.errors import RecordError
from mammo_core.store import Store

if TYPE_CHECKING:  # quick to load: see the package
    import pyarrow as pa

#: Shards, and excluded records of them, that a manifest lists itself: about 3 MB.
MOST_SHARDS: Final = 5_000
MOST_EXCLUDED: Final = 20_000
_SHARD: Final = "shard-"


def with_shard_table(store: Store, manifest: Manifest) -> Manifest:
    """Return a manifest as it is stored; a long list of shards is written beside it.

    Args:
        store: Where the manifest goes.
        manifest: A manifest with all its files.

    Returns:
        The manifest with all its files, the table of shards among them if there is one.
    """
    files = [file for file in manifest.files if file.name != SHARD_TABLE]
    shards = [file for file in files if file.name.startswith(_SHARD)]
    excluded = sum(len(file.excluded) for file in shards)
    if len(shards) > MOST_SHARDS or excluded > MOST_EXCLUDED:
        files.append(_put_shard_table(store, manifest.folder, shards))
    ordered = sorted(files, key=lambda file: file.name)
    return manifest.model_copy(update={"files": tuple(ordered)})


def complete(store: Store, manifest: Manifest) -> Manifest:
    """Return a manifest with all its files, those in the table of its shards included.

    Args:
        store: Where its files are.
        manifest: A manifest as it was stored or passed on.

    Raises:
        RecordError: The table is damaged.
    """
    table = next((file for file in manifest.files if file.name == SHARD_TABLE), None)
    if table is None or manifest.files_like(_SHARD):
        return manifest
    files = [*manifest.files, *_read_shard_table(store, table)]
    ordered = sorted(files, key=lambda file: file.name)
    return manifest.model_copy(update={"files": tuple(ordered)})


def _put_shard_table(store: Store, folder: str, shards: list[StoredFile]) -> StoredFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = sorted((shard.model_dump() for shard in shards), key=lambda row: str(row["name"]))
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, _schema()), buffer, compression="zstd")
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    # By its content: another attempt, or a later state of the output, has another table.
    key = f"{folder}/shards-{digest[:16]}.parquet"
    store.write_if(key, data, None)
    return StoredFile(name=SHARD_TABLE, key=key, sha256=digest, size=len(data), count=len(shards))


def _read_shard_table(store: Store, file: StoredFile) -> list[StoredFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(fetch_verified(store, file), pre_buffer=False) as parquet:
            rows = parquet.read(use_threads=False).cast(_schema()).to_pylist()
        return [StoredFile.model_validate(row) for row in rows]
    except (ValueError, OSError, pa.ArrowException) as error:
        raise RecordError(
            f"The table of shards {file.key} cannot be read",
            expected="the Parquet file that was published",
            received=" ".join(str(error).split())[:200],
        ) from error


def _schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema(
        [
            ("name", pa.string()),
            ("key", pa.string()),
            ("sha256", pa.string()),
            ("size", pa.int64()),
            ("count", pa.int64()),
            ("excluded", pa.list_(pa.string())),
        ]
    )
