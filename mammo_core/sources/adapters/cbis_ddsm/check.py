"""Count what the case tables contain, and which of it exists; quick to load."""

from mammo_core.sources.adapter import SourceFacts
from mammo_core.sources.adapters.cbis_ddsm.case_tables import case_table_facts, read_case_rows
from mammo_core.sources.adapters.cbis_ddsm.layout import count_missing, locate_cells
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.tables.source_tables import ProgressCall


def check_cbis_ddsm(
    tables: str,
    images: str | None,
    partial: bool = False,
    progress: ProgressCall | None = None,
) -> SourceFacts:
    """Count rows, views and patients; with images, also look for every image and mask.

    If no image of the tables exists nothing is decoded, so the check takes a second.

    Args:
        tables: Folder or URI of the case tables.
        images: Folder or URI of the images; None reads the tables only.
        partial: Whether the tables are a part of the collection.
        progress: Called with what is being done, how many are done, and of how many.

    Returns:
        What `case_table_facts` counts; with images also missing, files and rejects.

    Raises:
        SourceError: The tables cannot be used, or there is no image folder.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    rows = read_case_rows(tables, partial)
    facts = case_table_facts(rows)
    if images is None:
        return facts
    files = SourceFiles.open(images)
    files.require_root(f"image folder {images}")
    cell_files = locate_cells(rows, files)
    if not any(cell_files.files[row["image_path"]] for row in rows) and cell_files.other_files:
        from mammo_core.sources.files.image_files import series_uid

        cell_files = locate_cells(
            rows, files, lambda names: [series_uid(files, name) for name in names]
        )
    if any(cell_files.files[row["image_path"]] for row in rows):
        from mammo_core.sources import SourceConfig, index
        from mammo_core.sources.check import faults_of

        indexed = index(SourceConfig(root=images, tables=tables, partial=partial), progress)
        return {**indexed.facts, "rejects": faults_of(indexed)}
    counts = {"image_files": 0, "images": 0, "views": 0, "lesions": 0}
    facts["missing"] = count_missing(rows, cell_files)
    facts["files"] = {
        **counts,
        "located_by": cell_files.ways,
        "other_files": cell_files.other_files,
    }
    return {**facts, "rejects": []}
