"""Which column of a table is what: by its name, and by its cells."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from mammo_core.sources.adapters.table.cells import COLUMNS, REQUIRED, SEPARATORS, column_name
from mammo_core.sources.suggest.vocabulary import (
    BIRADS_LABELS,
    CELL_WORDS,
    COLUMN_NAMES,
    plain,
)
from mammo_core.sources.tables.text_table import TextColumn

#: Different cells that a column of words has at most.
_MAXIMUM_WORDS: Final = 200
#: Share of rows whose cells fit for a column to be recognized by its cells alone.
_FIT: Final = 0.9
_LISTED: Final = 3
#: Columns that are recognized by their cells where no name says what they are.
_BY_CELLS: Final = ("laterality", "view")
_SIDE_AND_VIEW: Final = re.compile(r"\s*([LR])[\s_-]*(CC|MLO|ML|LM)\s*", re.IGNORECASE)
_CATEGORY: Final = re.compile(r"(?:bi-?rads)?[ :]*([0-6])[a-c]?", re.IGNORECASE)


@dataclass
class Columns:
    """What was found out about the columns of a table.

    Args:
        targets: Column as spelled → what it is.
        values: What a column is → its cell → the cell that it means.
        constants: Cells of all rows.
        notes: What the user has to look at, a sentence each.
    """

    targets: dict[str, list[str]] = field(default_factory=dict)
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def column_of(self, target: str) -> str | None:
        """Return the column that is something, as spelled; None: none is.

        Args:
            target: Our name.
        """
        return next((name for name, targets in self.targets.items() if target in targets), None)


@dataclass(frozen=True)
class _Meanings:
    """What the cells of a column mean.

    Args:
        values: Cell → the cell that it means, where they differ.
        fit: Share of the rows whose cell has a meaning.
        unknown: Codes of the cells without one.
    """

    values: Mapping[str, str]
    fit: float
    unknown: tuple[int, ...]


def find_columns(cells: Mapping[str, TextColumn], lines: Sequence[int]) -> Columns:
    """Find out what the columns of a table are, and what their words mean.

    Args:
        cells: Column as spelled → its cells.
        lines: Line of each row.
    """
    known = Columns()
    named: dict[str, list[str]] = {}
    for name in cells:
        target = column_name(name)
        if target not in COLUMNS:
            target = COLUMN_NAMES.get(plain(name), "")
        if target:
            named.setdefault(target, []).append(name)
    for target, names in named.items():
        # Of several columns of one name, the one whose cells fit best; the first of equal ones.
        best = max(names, key=lambda name: _fit(target, cells[name]))
        if not _empty(cells[best]):
            known.targets.setdefault(best, []).append(target)
    for target in _BY_CELLS:
        _find_by_cells(target, cells, known)
    _split_side_and_view(cells, known)
    _label_from_birads(cells, known)
    for name, targets in known.targets.items():
        for target in targets:
            if target in CELL_WORDS and target not in known.values:
                _note_words(name, target, cells[name], lines, known)
    for target in REQUIRED:
        if known.column_of(target) is None and target not in ("image_path", *known.constants):
            known.notes.append(
                f"No column is the {target}: name one in `columns`, or state it in `constants` "
                "if it is the same in all rows."
            )
    return known


def _empty(column: TextColumn) -> bool:
    return not any(column.words)


def _fit(target: str, column: TextColumn) -> float:
    if target in CELL_WORDS:
        return _meanings(target, column).fit
    return 0.0 if _empty(column) else 1.0 / (1 + list(column.words).count(""))


def _find_by_cells(target: str, cells: Mapping[str, TextColumn], known: Columns) -> None:
    if known.column_of(target) is not None:
        return
    for name, column in cells.items():
        if name in known.targets or "" in column.words or len(set(column.words)) < 2:
            continue
        if _meanings(target, column).fit >= _FIT:
            known.targets[name] = [target]
            known.notes.append(f"The column {name!r} is the {target} by its cells alone.")
            return


def _split_side_and_view(cells: Mapping[str, TextColumn], known: Columns) -> None:
    """Use a column such as `LCC`, `R MLO` for side and view both."""
    name = known.column_of("view")
    if known.column_of("laterality") is not None:
        return
    for candidate in [name] if name is not None else list(cells):
        matches = {word: _SIDE_AND_VIEW.fullmatch(word) for word in cells[candidate].words}
        if all(matches.values()) and len(matches) <= _MAXIMUM_WORDS and matches:
            known.targets[candidate] = ["laterality", "view"]
            sides = {word: match[1].upper() for word, match in matches.items() if match}
            views = {word: match[2].upper() for word, match in matches.items() if match}
            known.values |= {"laterality": sides, "view": views}
            return


def _label_from_birads(cells: Mapping[str, TextColumn], known: Columns) -> None:
    """Use BI-RADS categories as labels where a table has no others.

    A column of labels with categories would else have 1, a negative mammogram, for malignant.
    """
    label, birads = known.column_of("label"), known.column_of("birads")
    if label is not None:
        categories = {word: _CATEGORY.fullmatch(word) for word in cells[label].words if word}
        if not all(categories.values()) or {*categories} <= {"0", "1"}:
            return
        if birads is None:
            known.targets[label].insert(0, "birads")
        birads = label
    elif birads is not None:
        known.targets[birads].append("label")
    else:
        return
    known.values["label"] = {
        word: BIRADS_LABELS[match[1]] if (match := _CATEGORY.fullmatch(word)) else "unknown"
        for word in cells[birads].words
    }
    known.constants["label_origin"] = "birads"
    known.notes.append(
        f"The label is the BI-RADS category of {birads!r}: 1 and 2 benign, 4 and 5 malignant, "
        "0, 3 and 6 unknown. A column with pathology results would be a better label."
    )


def _note_words(
    name: str, target: str, column: TextColumn, lines: Sequence[int], known: Columns
) -> None:
    meanings = _meanings(target, column)
    if meanings.values:
        known.values[target] = dict(meanings.values)
    if meanings.unknown:
        rows = np.flatnonzero(np.isin(column.codes, meanings.unknown))
        shown = ", ".join(str(lines[row]) for row in rows[:_LISTED])
        known.notes.append(
            f"{len(meanings.unknown)} different cells of {name!r} ({len(rows)} rows, first in "
            f"lines {shown}) are no {target} that is known: say what they mean in "
            f"`values.{target}`."
        )


def _meanings(target: str, column: TextColumn) -> _Meanings:
    read, words = COLUMNS[target].read, CELL_WORDS[target]
    values: dict[str, str] = {}
    unknown: list[int] = []
    if len(column.words) > _MAXIMUM_WORDS:
        return _Meanings({}, 0.0, tuple(range(len(column.words))))
    for code, cell in enumerate(column.words):
        for word in _words_of(target, cell):
            meaning = words.get(plain(word))
            if meaning is None and not _is_read(read, word):
                unknown.append(code)
            elif meaning is not None and not _is_read(read, word):
                values[word] = meaning
    rows = len(column.codes)
    fit = 1 - np.isin(column.codes, unknown).sum() / rows if rows else 0.0
    return _Meanings(values, float(fit), tuple(unknown))


def _words_of(target: str, cell: str) -> list[str]:
    """Return the words of a cell: several where it may list them, as `Mass|Calcification`."""
    if not COLUMNS[target].lesion:
        return [cell]
    return [part.strip("'\" ,") for part in SEPARATORS.split(cell.strip("[]() "))]


def _is_read(read: Callable[[str], object], word: str) -> bool:
    try:
        read(word)
    except ValueError:
        return False
    return True
