"""Where images and case tables lie."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mammo_core.sources.options import FoldersOptions, InbreastOptions, TableOptions
from mammo_core.sources.source_files import SourceFiles


class SourceConfig(BaseModel):
    """One image tree with its case tables.

    Args:
        adapter: How the tree is read.
        root: The images: a folder, file:// or s3:// URI. For CBIS-DDSM any number of
            collection folders may lie above the official first folders.
        tables: The case tables, likewise; by default the root, its `csv` or its `tables`. For
            `inbreast`, `table` and `folders` the CSV file.
        partial: Whether the tables are a part of the data set, of which some may be
            missing or hold no row; otherwise that is an error.
        inbreast: What the adapter of INbreast is told.
        table: What the adapter of a CSV of your own is told.
        folders: What the adapter of folders is told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    adapter: Literal["cbis_ddsm", "inbreast", "table", "folders"] = "cbis_ddsm"
    root: str = Field(min_length=1)
    tables: str | None = None
    partial: bool = False
    inbreast: InbreastOptions = InbreastOptions()
    table: TableOptions = TableOptions()
    folders: FoldersOptions = FoldersOptions()

    def files(self) -> SourceFiles:
        """Return the files under the root."""
        return SourceFiles.open(self.root)

    def table_files(self, files: SourceFiles) -> SourceFiles:
        """Return the files among which the case tables of CBIS-DDSM lie.

        Args:
            files: The files under the root, of which the listing may be at hand.
        """
        if self.tables is not None:
            return SourceFiles.open(self.tables)
        for folder in ("", "csv/", "tables/"):
            for name in files.names(folder):
                rest = name[len(folder) :]
                if "/" not in rest and "_case_description_" in rest and rest.endswith("_set.csv"):
                    return SourceFiles.open(f"{files.uri}/{folder}".rstrip("/"))
        return files
