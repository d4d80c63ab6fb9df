"""The four case tables, with the habits of the official ones."""

import csv
import io
from collections.abc import Iterable

from mammo_core.phantom.files import MammogramFiles
from mammo_core.phantom.plan import Kind, Split

_LAST_COLUMNS = [
    "assessment", "pathology", "subtlety",
    "image file path", "cropped image file path", "ROI mask file path",
]  # fmt: skip
_COLUMNS: dict[Kind, list[str]] = {
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


def table_name(kind: Kind, split: Split) -> str:
    """Return the file name of a case table, as the archive calls it.

    Args:
        kind: mass or calc.
        split: train or test.
    """
    return f"{kind}_case_description_{split}_set.csv"


def table_bytes(kind: Kind, split: Split, mammograms: Iterable[MammogramFiles]) -> bytes:
    r"""Write one case table.

    Args:
        kind: mass or calc.
        split: train or test.
        mammograms: All mammogram files of the tree; those of other tables are passed over.

    Returns:
        CSV, UTF-8, lines ended by \r\n. The cell of the crop (calc) or of the mask (mass) ends
        in \n inside its quotes, as in all 3,568 rows of the official tables. Rows are sorted by
        patient, side, view and abnormality.
    """
    rows: list[tuple[str, str, str, int, list[str]]] = []
    for mammogram in mammograms:
        if (mammogram.kind, mammogram.split) != (kind, split):
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
                _TYPE[kind],
                lesion.first_word,
                lesion.second_word,
                str(region.assessment),
                lesion.pathology,
                str(lesion.subtlety),
                mammogram.image.table_path,
                region.crop_cell + ("\n" if kind == "calc" else ""),
                region.mask_cell + ("\n" if kind == "mass" else ""),
            ]
            rows.append((view.patient_key, view.laterality, view.view, lesion.number, cells))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(_COLUMNS[kind])
    writer.writerows(row[-1] for row in sorted(rows))
    return text.getvalue().encode()
