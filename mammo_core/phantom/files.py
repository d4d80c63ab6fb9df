"""The files of a view, their paths in either layout, and their cells in the case tables.

The quirks are those counted in the four official tables (3,568 rows): calcification rows name
the crop 000001.dcm and the mask 000000.dcm and end the crop's cell in a newline; mass rows do
the opposite, with the newline in the mask's cell; about 3 % name both 000000.dcm, in two
studies; some cells name the other file of the pair; some masks have another size.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mammo_core.phantom.config import PhantomConfig
from mammo_core.phantom.plan import LesionPlan, LesionType, Split, ViewPlan
from mammo_core.seeds import derive_seed

FULL = "full mammogram images"
CROP = "cropped images"
MASK = "ROI mask images"
STUDY_DATE = "07-20-2016"  # fictitious, as in the NBIA folders of CBIS-DDSM
OTHER_MASK_SCALE = 0.875

_FOLDER_LESION_TYPE = {"mass": "Mass", "calc": "Calc"}
_FOLDER_SPLIT = {"train": "Training", "test": "Test"}


@dataclass(frozen=True)
class PlannedFile:
    """One DICOM file of the tree.

    Args:
        path: Relative to the root, posix, in the tree's layout.
        table_path: Its path in the case tables (always the original layout).
        folder: First folder, which is also the PatientID of the header.
        study_uid: StudyInstanceUID.
        series_uid: SeriesInstanceUID.
        sop_uid: SOPInstanceUID.
        description: SeriesDescription.
        instance: InstanceNumber, from 1.
    """

    path: str
    table_path: str
    folder: str
    study_uid: str
    series_uid: str
    sop_uid: str
    description: str
    instance: int


@dataclass(frozen=True)
class RegionFiles:
    """The crop and the mask of one lesion in one view, and the row that names them.

    Args:
        lesion: The lesion.
        crop: File of the crop.
        mask: File of the mask.
        mask_scale: Size of the mask relative to the mammogram.
        crop_cell: Path in the table's crop column; in some rows that of the mask.
        mask_cell: Path in the table's mask column.
        assessment: Assessment in the row: that of the lesion, or 0.
    """

    lesion: LesionPlan
    crop: PlannedFile
    mask: PlannedFile
    mask_scale: float
    crop_cell: str
    mask_cell: str
    assessment: int


@dataclass(frozen=True)
class MammogramFiles:
    """One mammogram file, in the table of one lesion_type and split, with its regions.

    Args:
        view: Its view.
        lesion_type: Table of mass or calc.
        split: Table of train or test.
        image: The file.
        header: The file whose identifiers are in the header: this one, or the one that it
            is a byte-identical copy of.
        scan: 0, or 1 for a second scan of the film (other scanner noise).
        regions: The lesions of the lesion_type.
    """

    view: ViewPlan
    lesion_type: LesionType
    split: Split
    image: PlannedFile
    header: PlannedFile
    scan: int
    regions: tuple[RegionFiles, ...]

    @property
    def paths(self) -> list[str]:
        """The paths of mammogram, crops and masks, relative to the root."""
        return [self.image.path] + [
            file.path for region in self.regions for file in (region.crop, region.mask)
        ]


def plan_files(config: PhantomConfig, views: Iterable[ViewPlan]) -> list[list[MammogramFiles]]:
    """Plan the files of the views.

    Args:
        config: The phantom's parameters.
        views: The views, from `mammo_core.phantom.plan.plan_views`.

    Returns:
        For each view its mammogram files: one, or two where the view is in the mass and in the
        calcification table.
    """
    rows = 0
    planned: list[list[MammogramFiles]] = []
    for view in views:
        mammograms: list[MammogramFiles] = []
        for lesion_type, split in view.splits:
            folder = f"{_FOLDER_LESION_TYPE[lesion_type]}-{_FOLDER_SPLIT[split]}_{view.view_id}"
            image = _file(config, folder, FULL, FULL, 0, 0)
            regions: list[RegionFiles] = []
            for lesion in view.lesions:
                if lesion.lesion_type == lesion_type:
                    regions.append(_region(config, folder, lesion, rows))
                    rows += 1
            again = mammograms and view.second_scan == "again"
            copy = mammograms and view.second_scan == "identical"
            mammograms.append(
                MammogramFiles(
                    view=view,
                    lesion_type=lesion_type,
                    split=split,
                    image=image,
                    header=mammograms[0].image if copy else image,
                    scan=1 if again else 0,
                    regions=tuple(regions),
                )
            )
        planned.append(mammograms)
    return planned


def uid(seed: int, *names: str) -> str:
    """Return a DICOM UID that depends on the seed and the names only.

    Args:
        seed: The phantom's seed.
        names: Identify the object.

    Returns:
        A UID under the root 2.25 (a UUID as one integer, DICOM PS3.5 B.2), at most 44 characters.
    """
    return f"2.25.{derive_seed(seed, 'phantom', 'uid', *names)}"


def _region(
    config: PhantomConfig, mammogram_folder: str, lesion: LesionPlan, row: int
) -> RegionFiles:
    folder = f"{mammogram_folder}_{lesion.number}"
    if row % 19 == 6:  # 104 of the 3,568 rows, and early enough to be in a small tree
        crop = _file(config, folder, CROP, CROP, 0, 0)
        mask = _file(config, folder, MASK, MASK, 0, 0)
    else:
        crop_number = 1 if lesion.lesion_type == "calc" else 0
        # The order of the files in an NBIA folder is arbitrary.
        swapped = config.layout == "nbia" and row % 3 == 1
        crop = _file(config, folder, CROP, MASK, crop_number, crop_number ^ swapped)
        mask = _file(config, folder, MASK, MASK, 1 - crop_number, (1 - crop_number) ^ swapped)
    mistaken = row % 8 == 3
    return RegionFiles(
        lesion=lesion,
        crop=crop,
        mask=mask,
        mask_scale=OTHER_MASK_SCALE if row % 17 == 9 else 1.0,
        crop_cell=(mask if mistaken else crop).table_path,
        mask_cell=(crop if mistaken else mask).table_path,
        assessment=0 if row % 15 == 4 else lesion.assessment,
    )


def _file(
    config: PhantomConfig, folder: str, description: str, series: str, number: int, position: int
) -> PlannedFile:
    study_uid = uid(config.seed, folder, series, "study")
    series_uid = uid(config.seed, folder, series, "series")
    table_path = f"{folder}/{study_uid}/{series_uid}/{number:06d}.dcm"
    path = table_path
    if config.layout == "nbia":
        study = f"{STUDY_DATE}-DDSM-{study_uid[-5:]}"
        path = f"{folder}/{study}/1-{series}-{series_uid[-5:]}/1-{position + 1}.dcm"
    return PlannedFile(
        path=path,
        table_path=table_path,
        folder=folder,
        study_uid=study_uid,
        series_uid=series_uid,
        sop_uid=uid(config.seed, folder, description, "instance"),
        description=description,
        instance=position + 1,
    )
