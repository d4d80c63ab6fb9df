"""The cells of a table as values: each different cell is parsed once."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mammo_core.sources.adapters.table.cells import (
    COLUMNS,
    SEPARATORS,
    describe_fault,
    split_name,
    word_of,
)
from mammo_core.sources.adapters.table.layout import PathTemplate, TableLayout
from mammo_core.sources.adapters.table.options import TableMapping
from mammo_core.sources.tables.text_table import Codes, TextColumn, TextTable

#: Columns whose cells may hold several words.
_WORD_LISTS: Final = ("lesion_type", "pathology")
_DATES: Final = ("exam_date", "pathology_date")


@dataclass(frozen=True)
class ValueColumn:
    """A column of values.

    Args:
        items: The different values.
        codes: (rows,) int32: which of them each row has; -1: its cell is not valid.
        faults: (rows,) int32: which message an invalid cell has; -1: none.
        messages: The messages.
    """

    items: list[Any]
    codes: Codes
    faults: Codes
    messages: list[str]

    def map(self, convert: Callable[[Any], Any], kind: Any = bool) -> "np.ndarray[Any, Any]":
        """Return something about the value of each row; of an invalid cell about none: 0.

        Args:
            convert: Called with each different value.
            kind: Data type of the result.
        """
        table = np.array([*map(convert, self.items), kind()], kind)
        return table[self.codes]

    def same(self, values: Iterable[Any]) -> "ValueColumn":
        """Return this column with other values in place of its items.

        Args:
            values: One for each item.
        """
        return ValueColumn(list(values), self.codes, self.faults, self.messages)


def read_values(
    table: TextTable, layout: TableLayout, options: TableMapping
) -> dict[str, ValueColumn]:
    """Return the values of every column that a table, its templates or constants have.

    Args:
        table: The table.
        layout: Where it has what.
        options: How it is read.
    """
    values: dict[str, ValueColumn] = {}
    for name, at in layout.positions.items():
        values[name] = _parse(name, table.cells[at], options)
    for name, template in layout.templates.items():
        values[name] = _parse(name, _fill(template, table), options)
    rows = len(table.lines)
    for name, cell in options.constants.items():
        if name not in values:
            column = TextColumn((cell.strip(),), np.zeros(rows, np.int32))
            values[name] = _parse(name, column, options)
    return values


def _parse(name: str, column: TextColumn, options: TableMapping) -> ValueColumn:
    target = COLUMNS[split_name(name)[0]]
    meanings = {word_of(cell): meant for cell, meant in _meanings(name, options).items()}
    index: dict[Hashable, int] = {}
    messages: dict[str, int] = {}
    codes = np.empty(len(column.words), np.int32)
    faults = np.full(len(column.words), -1, np.int32)
    is_list, is_date = target.name in _WORD_LISTS, target.name in _DATES
    for at, word in enumerate(column.words):
        cell = _meaning(word, meanings, is_list) if meanings else word
        if is_date:
            cell = options.read_date(cell)
        try:
            codes[at] = index.setdefault(target.read(cell), len(index))
        except ValueError:
            codes[at] = -1
            message = describe_fault(name, word)
            faults[at] = messages.setdefault(message, len(messages))
    return ValueColumn(list(index), codes[column.codes], faults[column.codes], list(messages))


def _meanings(name: str, options: TableMapping) -> Mapping[str, str]:
    """Return what the cells of a column mean; those of a further lesion as those of the first."""
    return options.values.get(name, options.values.get(split_name(name)[0], {}))


def _meaning(word: str, meanings: Mapping[str, str], is_list: bool) -> str:
    whole = meanings.get(word_of(word))
    if whole is not None or not is_list:
        return word if whole is None else whole
    parts = [part.strip("'\" ,") for part in SEPARATORS.split(word.strip("[]() "))]
    return "|".join(meanings.get(word_of(part), part) for part in parts)


def _fill(template: PathTemplate, table: TextTable) -> TextColumn:
    """Return the paths that a template makes; a path with an empty cell is empty."""
    columns: list[Sequence[str]] = []
    for at, form in template.fields:
        words = table.cells[at].words
        columns.append([format(word, form) if word else "" for word in words])
    codes = [table.cells[at].codes for at, _ in template.fields]
    index: dict[str, int] = {}
    filled = np.empty(len(table.lines), np.int32)
    first, *others = template.texts
    for row, numbers in enumerate(zip(*codes, strict=True)):
        path = first
        for column, number, text in zip(columns, numbers, others, strict=True):
            word = column[number]
            if not word:
                path = ""
                break
            path += word + text
        filled[row] = index.setdefault(path, len(index))
    return TextColumn(tuple(index), filled)
