"""The four case tables, with the quirks of the official ones."""

import csv
import io
from collections.abc import Iterable

from mammo_core.phantom.files import MammogramFiles
from mammo_core.phantom.plan import LesionType, Split

_LAST_COLUMNS = [
    "assessment", "pathology", "subtlety",
    "image file path", "cropped image file path", "ROI mask file path",
]  # fmt: skip
_COLUMNS: dict[LesionType, list[str]] = {
    "mass": [
        "patient_id", "breast_density", "left or right breast", "image view", "abnormality id",
        "abnormality type", "mass shape", "mass margins", *_LAST_COLUMNS,
    ],
    "calc": [
        "patient_id", "breast density", "left or right breast", "image view", "abnormality id",
        "abnormality type", "calc type", "calc distribution", *_LAST_COLUMNS,
    ],
}  # fmt: skip
_TYPE = {"mass": "mass", "calc": "calcification"}


def table_name(lesion_type: LesionType, split: Split) -> str:
    """Return the file name of a case table, as in the archive.

    Args:
        lesion_type: mass or calc.
        split: train or test.
    """
    return f"{lesion_type}_case_description_{split}_set.csv"


def table_bytes(
    lesion_type: LesionType, split: Split, mammograms: Iterable[MammogramFiles]
) -> bytes:
    r"""Write one case table.

    Args:
        lesion_type: mass or calc.
        split: train or test.
        mammograms: All mammogram files of the tree; those of other tables are skipped.

    Returns:
        CSV, UTF-8, lines ended by \r\n. The cell of the crop (calc) or of the mask (mass) ends
        in \n inside its quotes, as in all 3,568 rows of the official tables. Rows are sorted by
        patient, side, view and abnormality.
    """
    rows: list[tuple[str, str, str, int, list[str]]] = []
    for mammogram in mammograms:
        if (mammogram.lesion_type, mammogram.split) != (lesion_type, split):
            continue
        view = mammogram.view
        for region in mammogram.regions:
            lesion = region.lesion
            cells = [
                view.patient_key,
                str(view.table_density),
                view.laterality,
                view.view,
                str(lesion.number),
                _TYPE[lesion_type],
                lesion.first_word,
                lesion.second_word,
                str(region.assessment),
                lesion.pathology,
                str(lesion.subtlety),
                mammogram.image.table_path,
                region.crop_cell + ("\n" if lesion_type == "calc" else ""),
                region.mask_cell + ("\n" if lesion_type == "mass" else ""),
            ]
            rows.append((view.patient_key, view.laterality, view.view, lesion.number, cells))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(_COLUMNS[lesion_type])
    writer.writerows(row[-1] for row in sorted(rows))
    return text.getvalue().encode()
