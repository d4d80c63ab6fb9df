"""Files and their tables in, tables of images, lesions and rejects out."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, cast

from mammo_core.sources.source_tables import (
    IMAGE_COLUMNS,
    LESION_COLUMNS,
    REJECT_COLUMNS,
    ProgressCall,
    SourceTables,
)

if TYPE_CHECKING:  # quick to load: see the room
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

_Adapter = Callable[
    ["SourceConfig", ProgressCall | None, int | None, "SourceFiles | None"], SourceTables
]


def index(
    config: "SourceConfig",
    progress: ProgressCall | None = None,
    workers: int | None = None,
    files: "SourceFiles | None" = None,
) -> SourceTables:
    """Find, hash and describe the images of a source, and the mask of each lesion.

    What is missing or broken becomes a reject; a disk or server that fails raises. Each
    adapter is a module of its name with a function
    `index_<name>(config, progress, workers, files)`.

    Args:
        config: Where images and tables lie, and how they are read.
        progress: Called with what is done, how many, of how many.
        workers: Threads; by default two for each core, at most 16.
        files: The files, where something is known of them already; default those of `config`.

    Returns:
        The tables, rows in a fixed order.

    Raises:
        SourceError: Tables that cannot be used, or no image of theirs under the root.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    module = import_module(f"mammo_core.sources.{config.adapter}")
    adapter = cast(_Adapter, getattr(module, f"index_{config.adapter}"))
    return adapter(config, progress, workers, files)
