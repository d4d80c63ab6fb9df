"""INbreast: the ';' table, XML contours, and BI-RADS categories turned into labels.

Moreira et al., Academic Radiology 2012 (DOI 10.1016/j.acra.2011.09.014).
"""

import re
from typing import TYPE_CHECKING, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mammo_core.sources.adapter import Adapter, SourceFacts, register_adapter
from mammo_core.sources.identity.names import ImageName

if TYPE_CHECKING:  # a recipe is read without any codec
    from mammo_core.sources.config import SourceConfig
    from mammo_core.sources.files.source_files import SourceFiles
    from mammo_core.sources.tables.source_tables import ProgressCall, SourceTables

#: BI-RADS assessment categories as INbreast writes them.
BiRads = Literal["0", "1", "2", "3", "4", "4a", "4b", "4c", "5", "6"]

#: The view that the files and the table call ML is the mediolateral oblique one.
VIEWS: Final = {"CC": "CC", "ML": "MLO", "MLO": "MLO"}
#: File name, patient, side and view of an image file.
FILE_NAME: Final = re.compile(
    r"(?P<number>\d+)_(?P<patient>[0-9a-f]{8,32})_MG_(?P<side>[LR])_(?P<view>CC|ML|MLO)_ANON"
    r"\.(?P<kind>dcm|png|tiff?|pgm)",
    re.IGNORECASE,
)


class InbreastOptions(BaseModel):
    """How INbreast becomes labels and lesions.

    Args:
        negative: BI-RADS categories that make an image negative.
        positive: BI-RADS categories that make an image malignant.
        excluded: BI-RADS categories whose images are left out (and counted).
        contours: Whether the XML contours are read; without them there are images only.
        group_mm: Single calcifications closer to each other than this (mm) are one lesion,
            the hull around them; 0 makes each of them a lesion.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    negative: tuple[BiRads, ...] = ("1", "2")
    positive: tuple[BiRads, ...] = ("4", "4a", "4b", "4c", "5", "6")
    excluded: tuple[BiRads, ...] = ("3",)
    contours: bool = True
    group_mm: float = Field(default=5.0, ge=0)

    @model_validator(mode="after")
    def _require_one_meaning_each(self) -> Self:
        categories = [*self.negative, *self.positive, *self.excluded]
        if len(set(categories)) < len(categories):
            raise ValueError(
                "a BI-RADS category is negative, positive or excluded, and only one of these"
            )
        return self


def read_inbreast_name(file_name: str) -> ImageName | None:
    """Read patient, side and view from a file name of INbreast; None for another name.

    Args:
        file_name: Name of the file, without folders.
    """
    match = FILE_NAME.fullmatch(file_name)
    if match is None:
        return None
    laterality = "LEFT" if match["side"].upper() == "L" else "RIGHT"
    return ImageName(match["patient"].lower(), laterality, VIEWS[match["view"].upper()])


def _index(
    config: "SourceConfig",
    files: "SourceFiles",
    progress: "ProgressCall | None",
    workers: int | None,
) -> "SourceTables":
    from mammo_core.sources.adapters.inbreast.index import index_inbreast

    return index_inbreast(config, files, progress, workers)


def _fact_lines(facts: SourceFacts) -> list[str]:
    lines: list[str] = []
    for name, words in (
        ("excluded", "images of an excluded BI-RADS category"),
        ("other_regions", "regions that are neither mass nor calcification"),
    ):
        if facts[name]:
            counts = ", ".join(f"{key} ({count})" for key, count in facts[name].items())
            lines.append(f"{words}: {counts}")
    if facts["files_without_a_row"]:
        lines.append(f"images without a row in the table: {facts['files_without_a_row']}")
    return lines


register_adapter(
    Adapter(
        name="inbreast",
        index=_index,
        options=InbreastOptions,
        license="INbreast: by agreement",
        read_file_name=read_inbreast_name,
        header_views=VIEWS,
        # Sixteen decimal digits are rather a number of a hospital.
        pseudonyms=r"(?!\d{16}$)[0-9a-f]{16}",
        fact_lines=_fact_lines,
    )
)
