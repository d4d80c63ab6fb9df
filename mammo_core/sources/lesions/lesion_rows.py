"""The lesions of the images of a source: one id, one mask and one row for each."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter

from mammo_core.errors import DicomError, SourceError
from mammo_core.sources.files.image_files import find_mask
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.cases import ImageCase, LesionCase
from mammo_core.sources.lesions.masks import MaskFile, check_mask, mask_file
from mammo_core.sources.tables.image_rows import SourceImage
from mammo_core.sources.tables.source_tables import Rejects, Row

#: Columns of the image in the row of its lesion.
_IMAGE_COLUMNS: Final = ("image_id", "view_id", "patient_key", "exam_key")
_MASK_OR_REASON: Final[TypeAdapter[MaskFile | str]] = TypeAdapter(MaskFile | str)


@dataclass(frozen=True)
class SourceLesion:
    """A lesion under its final id.

    Args:
        lesion_id: Unique in the source.
        case: The lesion as the source describes it.
        image: Its image.
        split: Split of the image's case that has it.
    """

    lesion_id: str
    case: LesionCase
    image: SourceImage
    split: str


def reject_lesions(cases: list[ImageCase], rejects: Rejects) -> None:
    """Reject the lesions of rejected images.

    Args:
        cases: The rejected images.
        rejects: What was left out; more is added.
    """
    lesions = [(lesion, case) for case in cases for lesion in case.lesions]
    for lesion, case in sorted(lesions, key=lambda pair: pair[0].order):
        rejects.add(
            lesion.item,
            "lesion",
            "Its mammogram was rejected. Expected an image. Received none at "
            f"{case.table_path or case.item}.",
        )


def list_lesions(images: list[SourceImage]) -> list[SourceLesion]:
    """Return every lesion once, each under a different id, in the order of the source.

    Args:
        images: The images of the source.
    """
    lesions: list[SourceLesion] = []
    for image in images:
        unique: dict[tuple[str | int, ...], tuple[LesionCase, str]] = {}
        for image_case in image.cases:
            for case in image_case.lesions:
                key = (case.lesion_id, case.lesion_type, case.number, case.mask_path)
                unique.setdefault(key, (case, image_case.split))
        for case, split in unique.values():
            name = f"{image.row['view_id']}_{case.lesion_type}_{case.number}"
            lesions.append(SourceLesion(case.lesion_id or name, case, image, split))
    counts = Counter(lesion.lesion_id for lesion in lesions)
    used: Counter[str] = Counter()
    named: list[SourceLesion] = []
    for lesion in lesions:
        name = lesion.lesion_id
        if counts[name] > 1:  # several files of one view may each have a lesion of that number
            name = f"{name}_{lesion.image.row['image_id'][:8]}"
        used[name] += 1
        if used[name] > 1:
            name = f"{name}_{used[name]}"
        named.append(SourceLesion(name, lesion.case, lesion.image, lesion.split))
    return sorted(named, key=lambda lesion: lesion.case.order)


def read_lesion_mask(files: SourceFiles, lesion: SourceLesion) -> MaskFile | str:
    """Return the mask of a lesion, or why it has none.

    Args:
        files: The files of the source.
        lesion: The lesion.
    """
    rows, columns = lesion.image.facts.rows, lesion.image.facts.columns
    case, image = lesion.case, str(lesion.image.row["path"])

    def find() -> MaskFile | str:
        try:
            if case.mask_path:
                return _existing_mask(files, case.mask_path, rows, columns, image)
            return find_mask(files, list(case.mask_candidates), rows, columns, image)
        except (DicomError, SourceError) as error:
            return str(error)

    if not case.mask_path:
        names = [*case.mask_candidates, image]
        return files.cached(f"mask of {(rows, columns)}", names, _MASK_OR_REASON, find)
    file = mask_file(case.mask_path)
    question = f"mask {case.mask_path} of {(rows, columns)}"
    return files.cached(question, [file, image] if file else [image], _MASK_OR_REASON, find)


def _existing_mask(
    files: SourceFiles, mask_path: str, rows: int, columns: int, image: str
) -> MaskFile:
    file = mask_file(mask_path)
    if file is not None and file not in files.entries:
        raise DicomError(
            f"The mask {file} is missing", expected="a file under the root", received="none"
        )
    return check_mask(files, mask_path, rows, columns, image)


def lesion_row(lesion: SourceLesion, mask: MaskFile) -> Row:
    """Return the row of a lesion in the table of lesions.

    Args:
        lesion: The lesion.
        mask: Its mask.
    """
    case = lesion.case
    return {
        **{name: lesion.image.row[name] for name in _IMAGE_COLUMNS},
        "lesion_id": lesion.lesion_id,
        "abnormality_id": case.number,
        "lesion_type": case.lesion_type,
        "pathology": case.pathology,
        "malignant": int(case.pathology == "MALIGNANT"),
        "assessment": case.assessment,
        "subtlety": case.subtlety,
        "mass_shape": case.mass_shape,
        "mass_margins": case.mass_margins,
        "calc_type": case.calc_type,
        "calc_distribution": case.calc_distribution,
        "mask_path": mask.path,
        "mask_sha256": mask.sha256,
        "official_split": lesion.split,
    }
