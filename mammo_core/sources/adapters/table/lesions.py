"""The lesions of the rows of a table: in one cell, in further columns, or one in each row."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from mammo_core.errors import SourceError
from mammo_core.sources.adapters.table.cells import COLUMNS, OTHER, split_name
from mammo_core.sources.adapters.table.regions import BOX_COLUMNS, NUMBERS, Convention, box_path
from mammo_core.sources.adapters.table.values import ValueColumn
from mammo_core.sources.tables.text_table import Codes

_NO_TYPE: Final = f"Expected {COLUMNS['lesion_type'].expected}. Received nothing."
_NO_BOX: Final = f"Expected {COLUMNS['lesion_box'].expected}. Received other numbers."


@dataclass(frozen=True)
class RowLesion:
    """A lesion of a row.

    Args:
        lesion_type: mass, calc, or empty.
        pathology: MALIGNANT, BENIGN, BENIGN_WITHOUT_CALLBACK, or empty.
        mask_path: See `lesions.masks`; empty: only its type is known.
    """

    lesion_type: str
    pathology: str
    mask_path: str


@dataclass(frozen=True)
class RowLesions:
    """The lesions of a row.

    Args:
        lesions: In order; those of other findings are left out.
        masks: Mask files, for the check of their paths.
        others: How many regions are no class of lesion.
        faults: (column, what is wrong).
    """

    lesions: tuple[RowLesion, ...] = ()
    masks: tuple[str, ...] = ()
    others: int = 0
    faults: tuple[tuple[str, str], ...] = ()

    @property
    def malignant(self) -> bool:
        """Whether the pathology of one of them is malignant."""
        return any(lesion.pathology == "MALIGNANT" for lesion in self.lesions)


@dataclass(frozen=True)
class LesionColumn:
    """The lesions of each row.

    Args:
        items: The different ones.
        codes: (rows,) int32: which of them each row has.
    """

    items: list[RowLesions]
    codes: Codes = field(repr=False)


def read_lesions(
    values: Mapping[str, ValueColumn], rows: int, convention: Convention
) -> LesionColumn:
    """Return the lesions of each row.

    Args:
        values: The columns of a table.
        rows: Rows of the table.
        convention: What the numbers of a box in one cell mean.

    Raises:
        SourceError: Columns of numbers do not make a box.
    """
    names = [name for name in values if COLUMNS[split_name(name)[0]].lesion]
    groups: dict[int, list[str]] = defaultdict(list)
    for name in names:
        groups[split_name(name)[1]].append(name)
    forms = {number: _box_columns(group) for number, group in groups.items()}
    codes = np.zeros(rows, np.int32)
    items = [RowLesions()]
    if not names:
        return LesionColumn(items, codes)
    filled = np.zeros(rows, np.bool_)
    for name in names:
        filled |= values[name].map(lambda value: value is not None and value != ()) != 0
    at = np.flatnonzero(filled)
    keys = zip(*(values[name].codes[at].tolist() for name in names), strict=True)
    index: dict[tuple[int, ...], int] = {}
    for row, key in zip(at, keys, strict=True):
        number = index.get(key)
        if number is None:
            number = index[key] = len(items)
            row_values = {
                name: values[name].items[code] if code >= 0 else None
                for name, code in zip(names, key, strict=True)
            }
            parts = [
                _read_group(group, number_of_group, row_values, forms[number_of_group], convention)
                for number_of_group, group in sorted(groups.items())
            ]
            items.append(_join(parts))
        codes[row] = number
    return LesionColumn(items, codes)


def _box_columns(names: Sequence[str]) -> tuple[tuple[str, ...], Convention] | None:
    """Return the columns of numbers that make a box, and what they mean; None without any."""
    bases = {split_name(name)[0]: name for name in names}
    numbers = [name for name in NUMBERS if name in bases]
    if not numbers:
        return None
    for columns, convention in BOX_COLUMNS.items():
        if set(columns) == set(numbers):
            return tuple(bases[column] for column in columns), convention
    raise SourceError(
        "The columns of a box do not belong together",
        expected="; or ".join(", ".join(columns) for columns in BOX_COLUMNS),
        received=", ".join(numbers),
    )


def _join(parts: Sequence[RowLesions]) -> RowLesions:
    return RowLesions(
        tuple(lesion for part in parts for lesion in part.lesions),
        tuple(mask for part in parts for mask in part.masks),
        sum(part.others for part in parts),
        tuple(fault for part in parts for fault in part.faults),
    )


def _read_group(
    names: Sequence[str],
    number: int,
    values: Mapping[str, Any],
    form: tuple[tuple[str, ...], Convention] | None,
    convention: Convention,
) -> RowLesions:
    """Return the lesions of a row that the columns of one number have."""
    suffix = f"_{number}" if number > 1 else ""

    def cell(base: str) -> tuple[Any, ...]:
        return values.get(f"{base}{suffix}") or ()

    faults: list[tuple[str, str]] = []
    masks, outlines = cell("lesion_mask"), cell("lesion_outline")
    boxes = [box_path(box, convention) for box in cell("lesion_box")]
    if form is not None:
        numbers = [values[name] for name in form[0]]
        if None not in numbers:
            boxes.append(box_path(numbers, form[1]))
        elif any(value is not None for value in numbers):
            empty = form[0][numbers.index(None)]
            faults.append((empty, "Expected all numbers of a box, or none. Received some."))
    if None in boxes:
        faults.append((f"lesion_box{suffix}", _NO_BOX))
    if masks and boxes:
        faults.append((f"lesion_box{suffix}", "Expected a mask or a box. Received both."))
    if outlines and (masks or boxes):
        text = "Expected one of mask, box and outline. Received several."
        faults.append((f"lesion_outline{suffix}", text))
    regions = [*masks, *(box for box in boxes if box), *outlines]
    types, pathologies = cell("lesion_type"), cell("pathology")
    count = len(regions) or max(len(types), len(pathologies))
    if (regions or pathologies) and not types:
        faults.append((f"lesion_type{suffix}", _NO_TYPE))
    for base, words in (("lesion_type", types), ("pathology", pathologies)):
        if len(words) not in (0, 1, count):
            text = f"Expected one, or one for each of {count} regions. Received {len(words)}."
            faults.append((f"{base}{suffix}", text))
    if faults:
        return RowLesions(masks=masks, faults=tuple(faults))
    lesions = [
        RowLesion(_nth(types, at), _nth(pathologies, at), regions[at] if regions else "")
        for at in range(count)
    ]
    return RowLesions(
        tuple(lesion for lesion in lesions if lesion.lesion_type != OTHER),
        masks,
        sum(lesion.lesion_type == OTHER for lesion in lesions),
    )


def _nth(words: Sequence[str], at: int) -> str:
    return words[at] if len(words) > 1 else words[0] if words else ""
