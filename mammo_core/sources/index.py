"""Files and their tables in, tables of images, lesions and rejects out."""

from typing import TYPE_CHECKING

from mammo_core.processes import give_back_memory
from mammo_core.sources.adapter import get_adapter
from mammo_core.sources.tables.source_tables import (
    IMAGE_COLUMNS,
    LESION_COLUMNS,
    REJECT_COLUMNS,
    PackedTables,
    ProgressCall,
    SourceTables,
)

if TYPE_CHECKING:  # quick to load: see the package
    from mammo_core.sources.auditing.policy import ImagePolicy
    from mammo_core.sources.config import SourceConfig
    from mammo_core.sources.files.source_files import SourceFiles
    from mammo_core.sources.identity.label_windows import LabelsConfig

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
    policy: "ImagePolicy | None" = None,
    labels: "LabelsConfig | None" = None,
) -> SourceTables:
    """Find, hash and describe the images of a source, and the mask of each lesion.

    Missing or broken files become rejects, and so does what the policy leaves out, by its cause;
    a disk or server that fails raises.

    Args:
        config: The source.
        progress: Called with what is being done, how many are done, and of how many.
        workers: Threads; by default two for each core, at most 16.
        files: The files, with a cache of facts about them; by default those of `config`.
        policy: What is done with images that are not plain mammograms; default: its defaults.
        labels: How images get their labels; default: each has its own.

    Returns:
        The tables, rows in a fixed order.

    Raises:
        SourceError: The source cannot be used, or none of its images can.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    files = files or config.files()
    files.require_root(f"image folder {config.root}")
    packed = PackedTables.of(get_adapter(config.adapter).index(config, files, progress, workers))
    give_back_memory()
    tables = packed.unpacked()
    del packed
    from mammo_core.sources.auditing.policy import ImagePolicy
    from mammo_core.sources.identity.label_windows import LabelsConfig
    from mammo_core.sources.selection import select

    return select(tables, policy or ImagePolicy(), labels or LabelsConfig())
