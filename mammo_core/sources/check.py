"""What the case tables of CBIS-DDSM hold, and what of it is there; quick to load."""

from collections.abc import Callable
from typing import Any

from mammo_core.sources.cases import case_facts, read_case_rows
from mammo_core.sources.locate import count_missing, locate
from mammo_core.sources.source_files import SourceFiles


def check_cbis_ddsm(
    tables: str,
    images: str | None,
    partial: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Count rows, views and patients, and with images look for every image and mask.

    Without any image of the tables nothing is decoded, so that it takes a second.

    Args:
        tables: Folder or URI of the case tables.
        images: Folder or URI of the images; None looks at the tables only.
        partial: Whether a part of the data set is meant.
        progress: Called with what is done, how many, of how many.

    Returns:
        What `case_facts` counts; with images also missing, files and rejects.

    Raises:
        SourceError: Tables that cannot be used, no image folder.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    rows = read_case_rows(tables, partial)
    facts = case_facts(rows)
    if images is None:
        return facts
    files = SourceFiles.open(images)
    files.require_root(f"image folder {images}")
    located = locate(rows, files)
    if not any(located.files[row["image_path"]] for row in rows) and located.other_files:
        from mammo_core.sources.files import series_uid

        located = locate(rows, files, lambda names: [series_uid(files, name) for name in names])
    if any(located.files[row["image_path"]] for row in rows):
        from mammo_core.sources import SourceConfig, index

        found = index(SourceConfig(root=images, tables=tables, partial=partial), progress)
        return {**found.facts, "rejects": found.rejects.to_dict("records")}
    counted = {"image_files": 0, "images": 0, "views": 0, "lesions": 0}
    facts["missing"] = count_missing(rows, located)
    facts["files"] = {**counted, "found_by": located.ways, "other_files": located.other_files}
    return {**facts, "rejects": []}
