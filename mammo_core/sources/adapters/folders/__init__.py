"""What users of the original system have: folders that are labels, or its CSV and masks."""

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from mammo_core.sources.adapter import Adapter, SourceFacts, register_adapter

if TYPE_CHECKING:  # a recipe is read without any codec
    from mammo_core.sources.config import SourceConfig
    from mammo_core.sources.files.source_files import SourceFiles
    from mammo_core.sources.tables.source_tables import ProgressCall, SourceTables


class FoldersOptions(BaseModel):
    """How folders laid out for the original system are read.

    Args:
        images: Folder of the mammograms, relative to the root (with a case table).
        masks: Folder of the lesion masks, relative to the root (with a case table).
        patient_lists: Split → file with one patient a line (pat_lst.txt), relative to the
            root. Patients on no list are left out.
        patient_ids_in_paths: Accept file names with a patient id that is not a public
            pseudonym (CBIS-DDSM, INbreast). Paths are written into tables and messages.
        lossy_jpeg: Read JPEG pictures too, for a data set that is published as JPEG only. The loss
            changes gray levels: a warning of each image says so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: str = ""
    masks: str = ""
    patient_lists: dict[Literal["train", "validation", "test"], str] = {}
    patient_ids_in_paths: bool = False
    lossy_jpeg: bool = False


def _index(
    config: "SourceConfig",
    files: "SourceFiles",
    progress: "ProgressCall | None",
    workers: int | None,
) -> "SourceTables":
    from mammo_core.sources.adapters.folders.index import index_folders

    return index_folders(config, files, progress, workers)


def _fact_lines(facts: SourceFacts) -> list[str]:
    unlisted = facts.get("patients_of_no_list")
    return [f"patients on no patient list, left out: {unlisted}"] if unlisted else []


register_adapter(
    Adapter(
        name="folders",
        index=_index,
        options=FoldersOptions,
        needs_site_key=True,
        keeps_pseudonyms=True,
        fact_lines=_fact_lines,
    )
)
