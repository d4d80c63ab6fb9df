"""Where images and case tables lie."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SourceConfig(BaseModel):
    """One image tree with its case tables.

    Args:
        adapter: How the tree is read.
        root: Folder of the images; any number of collection folders may lie above the
            official first folders.
        tables: Folder of the case tables; by default the root, its `csv` or its `tables`.
        partial: Whether the tables are a part of the data set, of which some may be
            missing or hold no row; otherwise that is an error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    adapter: Literal["cbis_ddsm"] = "cbis_ddsm"
    root: str = Field(min_length=1)
    tables: str | None = None
    partial: bool = False

    @property
    def root_path(self) -> Path:
        """The folder of the images."""
        return Path(self.root.removeprefix("file://"))

    @property
    def tables_path(self) -> Path:
        """The folder of the case tables."""
        if self.tables is not None:
            return Path(self.tables.removeprefix("file://"))
        for folder in (self.root_path, self.root_path / "csv", self.root_path / "tables"):
            if any(folder.glob("*_case_description_*_set.csv")):
                return folder
        return self.root_path
