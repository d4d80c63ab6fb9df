"""Columns of published tables, by which one is recognized."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: Share of a table's columns that a file must have to look like it.
_LIKE: Final = 0.7


@dataclass(frozen=True)
class PublishedTable:
    """A published table.

    Args:
        data_set: What the data set is called.
        name: Name of the file.
        adapter: The adapter that reads the data set as it is published.
        columns: Its columns.
    """

    data_set: str
    name: str
    adapter: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Likeness:
    """How much a table looks like a published one.

    Args:
        table: The published table.
        columns: How many of its columns the table has.
    """

    table: PublishedTable
    columns: int

    @property
    def share(self) -> float:
        """Share of the columns of the published table."""
        return self.columns / len(self.table.columns)


_TABLES: Final[dict[tuple[str, str], PublishedTable]] = {}


def register_published_table(
    data_set: str, name: str, adapter: str, columns: str
) -> PublishedTable:
    """Add a published table to those that are recognized.

    Args:
        data_set: What the data set is called.
        name: Name of the file.
        adapter: The adapter that reads it.
        columns: Its columns, separated by commas.
    """
    table = PublishedTable(
        data_set, name, adapter, tuple(column.strip() for column in columns.split(","))
    )
    _TABLES[data_set, name] = table
    return table


def find_likeness(header: Sequence[str]) -> list[Likeness]:
    """Return the published tables that a header looks like, the likest first.

    Args:
        header: Columns of a table, as spelled.
    """
    have = {column.strip().casefold() for column in header}
    likenesses = [
        Likeness(table, len({column.casefold() for column in table.columns} & have))
        for table in _TABLES.values()
    ]
    like = [
        likeness for likeness in likenesses if likeness.share >= _LIKE and likeness.columns >= 3
    ]
    return sorted(like, key=lambda likeness: (-likeness.columns, likeness.table.data_set))


register_published_table(
    "VinDr-Mammo", "breast-level_annotations.csv", "vindr_mammo",
    "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,"
    "breast_density,split",
)  # fmt: skip
register_published_table(
    "VinDr-Mammo", "finding_annotations.csv", "vindr_mammo",
    "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,"
    "breast_density,finding_categories,finding_birads,xmin,ymin,xmax,ymax,split",
)  # fmt: skip
register_published_table(
    "RSNA 2023", "train.csv", "rsna_2023",
    "site_id,patient_id,image_id,laterality,view,age,cancer,biopsy,invasive,BIRADS,implant,density,"
    "machine_id,difficult_negative_case",
)  # fmt: skip
register_published_table(
    "CMMD", "CMMD_clinicaldata_revision", "cmmd",
    "ID1,LeftRight,Age,number,abnormality,classification,subtype",
)  # fmt: skip
register_published_table(
    "EMBED", "EMBED_OpenData_metadata.csv", "embed",
    "empi_anon,acc_anon,anon_dicom_path,FinalImageType,ImageLateralityFinal,ViewPosition,spot_mag,"
    "num_roi,ROI_coords",
)  # fmt: skip
register_published_table(
    "EMBED", "EMBED_OpenData_clinical.csv", "embed",
    "empi_anon,acc_anon,asses,side,tissueden,bside,path_severity",
)  # fmt: skip
register_published_table(
    "CSAW-CC", "CSAW-CC_breast_cancer_screening_data.csv", "csaw_cc",
    "anon_patientid,exam_year,x_case,x_cancer_laterality,x_type,x_lymphnode_met,rad_timing,rad_r1,"
    "rad_r2,rad_recall,imagelaterality,viewposition,anon_filename",
)  # fmt: skip
register_published_table("MIAS", "Info.txt", "mias", "REFNUM,BG,CLASS,SEVERITY,X,Y,RADIUS")
register_published_table(
    "BCDR", "bcdr_img.csv", "bcdr",
    "patient_id,study_id,series,image_filename,image_type_name,image_type_id,age,density",
)  # fmt: skip
register_published_table(
    "INbreast", "INbreast.csv", "inbreast",
    "Patient ID,Patient age,Laterality,View,Acquisition date,File Name,ACR,Bi-Rads",
)  # fmt: skip
register_published_table(
    "CBIS-DDSM", "mass_case_description_train_set.csv", "cbis_ddsm",
    "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type,"
    "mass shape,mass margins,assessment,pathology,subtlety,image file path,"
    "cropped image file path,ROI mask file path",
)  # fmt: skip
register_published_table(
    "CBIS-DDSM", "calc_case_description_train_set.csv", "cbis_ddsm",
    "patient_id,breast density,left or right breast,image view,abnormality id,abnormality type,"
    "calc type,calc distribution,assessment,pathology,subtlety,image file path,"
    "cropped image file path,ROI mask file path",
)  # fmt: skip
