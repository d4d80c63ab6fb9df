"""One row of a CSV of your own: the valid cells of each column, and the messages for others."""

import re
from datetime import date
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mammo_core.dicom import parse_laterality
from mammo_core.dicom.meanings.view_text import ViewText, read_view_position
from mammo_core.sources.identity.cases import UNKNOWN_LABEL
from mammo_core.sources.identity.patients import normalize_id
from mammo_core.sources.lesions.mask_shapes import outline_text
from mammo_core.sources.lesions.masks import box_text

_LABELS: Final = {
    **dict.fromkeys(("0", "neg", "negative", "benign", "normal", "no cancer"), 0),
    **dict.fromkeys(("1", "pos", "positive", "malignant", "cancer"), 1),
    "unknown": UNKNOWN_LABEL,
}
_TYPES: Final = {
    "": "",
    "mass": "mass",
    **dict.fromkeys(("calc", "calcification", "calcifications"), "calc"),
}
_SPLITS: Final = {
    "": "",
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_PATHOLOGIES: Final = {
    "": "",
    "malignant": "MALIGNANT",
    "benign": "BENIGN",
    "benign without callback": "BENIGN_WITHOUT_CALLBACK",
}
_PATH: Final = re.compile(r"(?!.*://)(?!/)(?![A-Za-z]:)[^\\\0\n\r#]+")

#: Column → its valid cells, for messages.
EXPECTED: Final = {
    "image_path": "a path relative to the image folder, with '/', inside it",
    "patient_id": "an id",
    "laterality": "L, R, LEFT or RIGHT",
    "view": "a view or view modifier of DICOM: CC, MLO, ML, XCCL, CCID, AT and so on",
    "label": "malignant or benign, positive or negative, cancer or normal, 1 or 0, or unknown",
    "breast_density": "1 to 4 or A to D (BI-RADS), or nothing",
    "lesion_type": "mass or calc, or nothing; required with a mask, box or pathology",
    "pathology": "malignant, benign or benign without callback, or nothing",
    "lesion_mask": "a path relative to the image folder, or nothing",
    "lesion_box": "x y width height in whole pixels, or nothing",
    "lesion_outline": "x y radius of a circle, or x y of three corners or more, in whole "
    "pixels, or nothing",
    "split": "train, validation or test, or nothing in all rows",
    "exam_id": "an id, or nothing in all rows",
    "exam_date": "a date YYYY-MM-DD, or nothing",
    "pathology_date": "a date YYYY-MM-DD, or nothing",
}
COLUMNS: Final = tuple(EXPECTED)
REQUIRED: Final = COLUMNS[:5]
#: Other accepted names of columns.
ALIASES: Final = {
    "image": "image_path",
    "path": "image_path",
    "patient": "patient_id",
    "side": "laterality",
    "density": "breast_density",
    "mask": "lesion_mask",
    "mask_path": "lesion_mask",
    "box": "lesion_box",
    "outline": "lesion_outline",
    "type": "lesion_type",
    "exam": "exam_id",
}


def _one_of(words: dict[str, Any]) -> BeforeValidator:
    def look_up(cell: str) -> Any:
        word = " ".join(cell.lower().replace("_", " ").split())
        if word not in words:
            raise ValueError
        return words[word]

    return BeforeValidator(look_up)


def _read_by(read: Any) -> BeforeValidator:
    def require_value(cell: str) -> Any:
        value = read(cell)
        if value is None:
            raise ValueError
        return value

    return BeforeValidator(require_value)


def _require_inside(cell: str) -> str:
    parts = cell.split("/")
    if not _PATH.fullmatch(cell) or any(part in ("", ".", "..") for part in parts):
        raise ValueError
    return cell


def _optional_date(cell: str) -> date | None:
    if not cell:
        return None
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", cell):
        raise ValueError
    return date.fromisoformat(cell)


_DENSITIES: Final = {
    "": 0,
    **{str(number): number for number in range(5)},
    **{letter: number for number, letter in enumerate("abcd", 1)},
}


class TableRow(BaseModel):
    """A row, in the words of the tables of a source.

    Args:
        image_path: Relative to the image folder.
        patient_id: As the site writes it, normalized. It is kept out of every message.
        laterality: LEFT or RIGHT.
        view: View and modifiers.
        label: 1 for malignant, 0 for benign, or UNKNOWN_LABEL.
        breast_density: 1 to 4, 0 when unknown.
        lesion_type: mass, calc, or empty.
        pathology: MALIGNANT, BENIGN or BENIGN_WITHOUT_CALLBACK, or empty.
        lesion_mask: Relative to the image folder, or empty.
        lesion_box: A mask path `box:x,y,width,height`, or empty.
        lesion_outline: A mask path of a circle or polygon, or empty.
        split: train, validation, test, or empty.
        exam_id: As the site writes it, normalized; or empty.
        exam_date: When the exam was; None if unknown.
        pathology_date: When the pathology result was that the label comes from; None if the label
            comes from something else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    image_path: Annotated[str, BeforeValidator(_require_inside)]
    patient_id: Annotated[str, BeforeValidator(normalize_id)] = Field(min_length=1, repr=False)
    laterality: Annotated[Literal["LEFT", "RIGHT"], _read_by(parse_laterality)]
    view: Annotated[ViewText, _read_by(lambda cell: read_view_position(cell) or None)]
    label: Annotated[Literal[0, 1, -1], _one_of(_LABELS)]
    breast_density: Annotated[int, _one_of(_DENSITIES)] = 0
    lesion_type: Annotated[Literal["", "mass", "calc"], _one_of(_TYPES)] = ""
    pathology: Annotated[str, _one_of(_PATHOLOGIES)] = ""
    lesion_mask: Annotated[str, BeforeValidator(lambda cell: cell and _require_inside(cell))] = ""
    lesion_box: Annotated[str, _read_by(lambda cell: box_text(cell) if cell else "")] = ""
    lesion_outline: Annotated[str, _read_by(lambda cell: outline_text(cell) if cell else "")] = ""
    split: Annotated[Literal["", "train", "validation", "test"], _one_of(_SPLITS)] = ""
    exam_id: Annotated[str, BeforeValidator(normalize_id)] = Field(default="", repr=False)
    exam_date: Annotated[date | None, BeforeValidator(_optional_date)] = Field(
        default=None, repr=False
    )
    pathology_date: Annotated[date | None, BeforeValidator(_optional_date)] = Field(
        default=None, repr=False
    )

    @property
    def mask_path(self) -> str:
        """The mask, box or outline of the lesion, or empty."""
        return self.lesion_mask or self.lesion_box or self.lesion_outline


def read_row(cells: dict[str, str]) -> tuple[TableRow | None, list[tuple[str, str]]]:
    """Read a row.

    Args:
        cells: Column → cell, blanks stripped.

    Returns:
        The row, or None if a cell is not valid; and (column, what is wrong) for each fault.
    """
    try:
        row = TableRow.model_validate(cells)
    except ValidationError as error:
        columns = [str(fault["loc"][0]) for fault in error.errors(include_input=False)]
        return None, [
            (column, _describe_fault(column, cells.get(column, ""))) for column in columns
        ]
    faults: list[tuple[str, str]] = []
    if row.view.laterality not in (None, row.laterality):
        faults.append(
            ("view", f"Expected a view of the {row.laterality} breast. Received another.")
        )
    if row.lesion_mask and row.lesion_box:
        faults.append(("lesion_box", "Expected a mask or a box. Received both."))
    if row.lesion_outline and (row.lesion_mask or row.lesion_box):
        faults.append(
            ("lesion_outline", "Expected one of mask, box and outline. Received several.")
        )
    if not row.lesion_type and (row.mask_path or row.pathology):
        faults.append(("lesion_type", f"Expected {EXPECTED['lesion_type']}. Received nothing."))
    if row.pathology == "MALIGNANT" and row.label == 0:
        faults.append(
            ("label", "Expected malignant, like the lesion's pathology. Received benign.")
        )
    return row, faults


def _describe_fault(column: str, cell: str) -> str:
    # The cell is not quoted: it may contain a patient id by mistake.
    received = f"{len(cell)} other characters" if cell else "nothing"
    return f"Expected {EXPECTED[column]}. Received {received}."
