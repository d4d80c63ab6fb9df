"""Your own data: one CSV file with a row for each image or lesion."""

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from mammo_core.sources.adapter import Adapter, SourceFacts, register_adapter

if TYPE_CHECKING:  # a recipe is read without any codec
    from mammo_core.sources.config import SourceConfig
    from mammo_core.sources.files.source_files import SourceFiles
    from mammo_core.sources.tables.source_tables import ProgressCall, SourceTables


class TableOptions(BaseModel):
    """How a CSV of your own is read.

    Args:
        patient_ids_in_paths: Accept image and mask paths that contain the patient id. Paths
            are written into tables, manifests and messages.
        lossy_jpeg: Read JPEG pictures too, for a data set that is published as JPEG only. The loss
            changes gray levels: a warning of each image says so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    patient_ids_in_paths: bool = False
    lossy_jpeg: bool = False


def _index(
    config: "SourceConfig",
    files: "SourceFiles",
    progress: "ProgressCall | None",
    workers: int | None,
) -> "SourceTables":
    from mammo_core.sources.adapters.table.index import index_table

    return index_table(config, files, progress, workers)


def _check(config: "SourceConfig", images: bool, progress: "ProgressCall | None") -> SourceFacts:
    from dataclasses import asdict

    from mammo_core.sources.adapters.table.check import check_table

    result = check_table(config, images, progress)
    return {**result.facts, "problems": [asdict(problem) for problem in result.problems]}


register_adapter(
    Adapter(
        name="table",
        index=_index,
        options=TableOptions,
        check=_check,
        check_input="tables",
        needs_site_key=True,
    )
)
