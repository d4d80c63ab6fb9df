"""The columns of a table of your own: what each is for, and how one of its cells is read.

A parser takes a cell without blanks around it and raises ValueError for one that is not valid; no
message quotes a cell, because a patient id may be in the wrong column.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any, Final

from mammo_core.dicom import parse_laterality
from mammo_core.dicom.meanings.view_text import ViewText, read_view_position
from mammo_core.sources.adapters.table.regions import (
    NUMBERS,
    read_boxes,
    read_masks,
    read_number,
    read_outlines,
    require_path,
)
from mammo_core.sources.identity.age_bands import age_band
from mammo_core.sources.identity.cases import UNKNOWN_LABEL
from mammo_core.sources.identity.patients import normalize_id

#: A finding that is no class of lesion: its region is left out.
OTHER: Final = "other"
Parser = Callable[[str], Any]

LABELS: Final = {
    **dict.fromkeys(("0", "neg", "negative", "benign", "normal", "no cancer", "false"), 0),
    **dict.fromkeys(("1", "pos", "positive", "malignant", "cancer", "true"), 1),
    "unknown": UNKNOWN_LABEL,
}
TYPES: Final = {
    "": "",
    "mass": "mass",
    **dict.fromkeys(
        ("calc", "calcification", "calcifications", "microcalcification", "microcalcifications"),
        "calc",
    ),
    OTHER: OTHER,
}
SPLITS: Final = {
    "": "",
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
PATHOLOGIES: Final = {
    "": "",
    "malignant": "MALIGNANT",
    "benign": "BENIGN",
    "benign without callback": "BENIGN_WITHOUT_CALLBACK",
}
DENSITIES: Final = {
    "": 0,
    **{str(number): number for number in range(5)},
    **{letter: number for number, letter in enumerate("abcd", 1)},
    **{f"density {letter}": number for number, letter in enumerate("abcd", 1)},
}
#: Several cells in one: `mass|calc`, `mass; calc`, `['Mass', 'Calcification']`.
SEPARATORS: Final = re.compile(r"[|;]|(?<=['\"]),")


@dataclass(frozen=True)
class Column:
    """A column that is read.

    Args:
        name: Our name of it.
        expected: Its valid cells, for messages.
        read: Parses a cell.
        required: Whether there is no table without it.
        lesion: Whether it belongs to a lesion: an image may have several, in several rows, in
            columns that end in `_2`, `_3` and so on, or in one cell.
        target: Whether it says something else about the breast: see `cases.Targets`.
    """

    name: str
    expected: str
    read: Parser
    required: bool = False
    lesion: bool = False
    target: bool = False


def word_of(cell: str) -> str:
    """Return a cell as words are compared: neither case, underscores nor double blanks count."""
    return " ".join(cell.lower().replace("_", " ").split())


def _one_of(words: Mapping[str, Any]) -> Parser:
    def look_up(cell: str) -> Any:
        word = word_of(cell)
        if word not in words:
            raise ValueError
        return words[word]

    return look_up


def _several_of(words: Mapping[str, Any]) -> Parser:
    """Read one word, or several of a cell."""

    def look_up(cell: str) -> tuple[Any, ...]:
        if not cell:
            return ()
        parts = SEPARATORS.split(cell.strip("[]() "))
        meant = tuple(words.get(word_of(part.strip("'\" ,"))) for part in parts)
        if None in meant:
            raise ValueError
        return tuple(word for word in meant if word)

    return look_up


def _id(cell: str) -> str:
    text = normalize_id(cell)
    if not text:
        raise ValueError
    return text


def _laterality(cell: str) -> str:
    side = parse_laterality(cell)
    if side is None:
        raise ValueError
    return side


def _view(cell: str) -> ViewText:
    view = read_view_position(cell)
    if not view:
        raise ValueError
    return view


def optional_date(cell: str) -> date | None:
    """Return the date of a cell, YYYY-MM-DD; None of an empty one.

    Args:
        cell: Any text.

    Raises:
        ValueError: It is no date.
    """
    if not cell:
        return None
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", cell):
        raise ValueError
    return date.fromisoformat(cell)


def _category(cell: str) -> int | None:
    match = re.fullmatch(r"(?:bi-?rads )?([0-6])(?:[a-c])?", word_of(cell))
    if cell and match is None:
        raise ValueError
    return int(match[1]) if match else None


def _years(cell: str) -> float | None:
    text = cell.replace(",", ".")
    if text and not re.fullmatch(r"\d{1,3}(\.\d+)?", text):
        raise ValueError
    return float(text) if text else None


_FLAGS: Final = {
    "": None,
    **dict.fromkeys(("1", "yes", "true"), True),
    **dict.fromkeys(("0", "no", "false"), False),
}
_ORIGINS: Final = {"": "", "biopsy": "biopsy", "birads": "birads", "follow-up": "follow-up"}
#: What else a table may say about a breast (`cases.Targets`): its valid cells, and its parser.
_TARGETS: Final[Mapping[str, tuple[str, Parser]]] = {
    "label_origin": ("biopsy, birads or follow-up, or nothing", _one_of(_ORIGINS)),
    "birads": ("a BI-RADS category from 0 to 6, or nothing", _category),
    "invasive": ("yes or no, 1 or 0, or nothing", _one_of(_FLAGS)),
    "subtype": ("any text", str),
    "years_to_cancer": ("a number of years, or nothing", _years),
    "years_to_last_negative_exam": ("a number of years, or nothing", _years),
    "site": ("any text", str),
    "machine": ("any text", str),
    "race": ("any text", str),
    "ethnicity": ("any text", str),
    "age_band": ("an age in years, of which the band of ten is kept, or nothing", age_band),
}
_DATE: Final = "a date YYYY-MM-DD, or as `dates` says, or nothing"
_NUMBER: Final = "a number of pixels, or nothing"

_ALL: Final = (
    Column("image_path", "a path relative to the image folder, with '/', inside it", require_path,
           required=True),
    Column("patient_id", "an id", _id, required=True),
    Column("laterality", "L, R, LEFT or RIGHT", _laterality, required=True),
    Column("view", "a view or view modifier of DICOM: CC, MLO, ML, XCCL, CCID, AT and so on", _view,
           required=True),
    Column("label", "malignant or benign, positive or negative, cancer or normal, 1 or 0, or "
           "unknown", _one_of(LABELS), required=True),
    Column("implant", "yes or no, 1 or 0, or nothing", _one_of(_FLAGS)),
    Column("breast_density", "1 to 4 or A to D (BI-RADS), or nothing", _one_of(DENSITIES)),
    Column("lesion_type", "mass, calc or other, or nothing; required with a mask, box or pathology",
           _several_of(TYPES), lesion=True),
    Column("pathology", "malignant, benign or benign without callback, or nothing",
           _several_of(PATHOLOGIES), lesion=True),
    Column("lesion_mask", "a path relative to the image folder, or nothing", read_masks,
           lesion=True),
    Column("lesion_box", "x y width height, or the four numbers that `boxes` says, or nothing",
           read_boxes, lesion=True),
    Column("lesion_outline", "x y radius of a circle, or x y of three corners or more, in whole "
           "pixels, or nothing", read_outlines, lesion=True),
    *(Column(name, _NUMBER, read_number, lesion=True) for name in NUMBERS),
    *(Column(name, expected, read, target=True) for name, (expected, read) in _TARGETS.items()),
    Column("split", "train, validation or test, or nothing in all rows", _one_of(SPLITS)),
    Column("exam_id", "an id, or nothing in all rows", normalize_id),
    Column("exam_date", _DATE, optional_date),
    Column("pathology_date", _DATE, optional_date),
)  # fmt: skip
#: Our name → column.
COLUMNS: Final[Mapping[str, Column]] = MappingProxyType({column.name: column for column in _ALL})
TARGETS: Final = tuple(column.name for column in _ALL if column.target)
REQUIRED: Final = tuple(column.name for column in _ALL if column.required)
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
_NUMBERED: Final = re.compile(r"(.+?)_([2-9]|[1-9]\d)")


def split_name(name: str) -> tuple[str, int]:
    """Return the column that a name means, and the number of its lesion.

    Args:
        name: One of our names, `lesion_box`; of a further lesion `lesion_box_2`.

    Returns:
        (name, number from 1); an empty name: there is no such column.
    """
    if name in COLUMNS:
        return name, 1
    match = _NUMBERED.fullmatch(name)
    if match is not None and match[1] in COLUMNS and COLUMNS[match[1]].lesion:
        return match[1], int(match[2])
    return "", 1


def column_name(spelled: str) -> str:
    """Return our name for a column as a table spells it, or its words if it is none of ours.

    Args:
        spelled: Name in a header.
    """
    name = "_".join(spelled.lower().replace("-", " ").replace("_", " ").split())
    return ALIASES.get(name, name)


def describe_fault(column: str, cell: str) -> str:
    """Return what is wrong with a cell, without the cell.

    Args:
        column: Our name of its column.
        cell: The cell.
    """
    received = f"{len(cell)} other characters" if cell else "nothing"
    return f"Expected {COLUMNS[split_name(column)[0]].expected}. Received {received}."
