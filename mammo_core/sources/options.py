"""What each adapter can be told; the parts of `SourceConfig` that belong to one adapter."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: BI-RADS assessment categories as INbreast writes them.
BiRads = Literal["0", "1", "2", "3", "4", "4a", "4b", "4c", "5", "6"]
Side = Literal["train", "validation", "test"]


class InbreastOptions(BaseModel):
    """How INbreast becomes labels and lesions.

    Args:
        negative: BI-RADS categories that make an image negative.
        positive: Categories that make it malignant.
        excluded: Categories whose images are left out (and counted).
        contours: Whether the XML contours are read; without them there are images only.
        group_mm: Single calcifications nearer to each other than this (mm) are one lesion,
            the hull around them; 0 makes each of them a lesion.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    negative: tuple[BiRads, ...] = ("1", "2")
    positive: tuple[BiRads, ...] = ("4", "4a", "4b", "4c", "5", "6")
    excluded: tuple[BiRads, ...] = ("3",)
    contours: bool = True
    group_mm: float = Field(default=5.0, ge=0)

    @model_validator(mode="after")
    def _one_meaning_each(self) -> Self:
        told = [*self.negative, *self.positive, *self.excluded]
        if len(set(told)) < len(told):
            raise ValueError("a BI-RADS category is negative, positive or excluded, not two of it")
        return self


class TableOptions(BaseModel):
    """How a CSV of your own is read.

    Args:
        patient_ids_in_paths: Accept image and mask paths that hold the patient id. Paths are
            written into tables, manifests and messages.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    patient_ids_in_paths: bool = False


class FoldersOptions(BaseModel):
    """How folders in the manner of the original system are read.

    Args:
        images: Folder of the mammograms, relative to the root (with a case table).
        masks: Folder of the lesion masks, relative to the root (with a case table).
        patient_lists: Split → file with one patient a line (pat_lst.txt), relative to the
            root. Patients of no list are left out.
        patient_ids_in_paths: Accept file names that hold a patient id which is no public
            pseudonym (CBIS-DDSM, INbreast). Paths are written into tables and messages.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: str = ""
    masks: str = ""
    patient_lists: dict[Side, str] = {}
    patient_ids_in_paths: bool = False
