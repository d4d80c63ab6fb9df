"""Files and their tables in, tables of images, lesions and rejects out."""

from typing import TYPE_CHECKING

from mammo_core.sources.adapter import get_adapter
from mammo_core.sources.source_tables import (
    IMAGE_COLUMNS,
    LESION_COLUMNS,
    REJECT_COLUMNS,
    ProgressCall,
    SourceTables,
)

if TYPE_CHECKING:  # quick to load: see the package
    from mammo_core.sources.config import SourceConfig
    from mammo_core.sources.source_files import SourceFiles

__all__ = [
    "IMAGE_COLUMNS",
    "LESION_COLUMNS",
    "REJECT_COLUMNS",
    "ProgressCall",
    "SourceTables",
    "index",
]


def index(
    config: "SourceConfig",
    progress: ProgressCall | None = None,
    workers: int | None = None,
    files: "SourceFiles | None" = None,
) -> SourceTables:
    """Find, hash and describe the images of a source, and the mask of each lesion.

    Missing or broken files become rejects; a disk or server that fails raises.

    Args:
        config: The source.
        progress: Called with what is being done, how many are done, and of how many.
        workers: Threads; by default two for each core, at most 16.
        files: The files, with a cache of facts about them; by default those of `config`.

    Returns:
        The tables, rows in a fixed order.

    Raises:
        SourceError: The source cannot be used, or none of its images can.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    files = files or config.files()
    files.require_root(f"image folder {config.root}")
    return get_adapter(config.adapter).index(config, files, progress, workers)
