"""How the dates of a table are written, and whether they tell exams apart."""

import re
from collections.abc import Mapping
from typing import Any, Final

from mammo_core.sources.suggest.columns import Columns
from mammo_core.sources.tables.text_table import TextColumn

_TARGETS: Final = frozenset(("exam_id", "exam_date", "pathology_date"))
_ISO: Final = "YYYY-MM-DD"
#: Form → pattern; of several forms that fit, the first is proposed.
_FORMS: Final = {
    _ISO: r"\d{4}-\d{1,2}-\d{1,2}",
    "DD.MM.YYYY": r"\d{1,2}\.\d{1,2}\.\d{4}",
    "YYYY.MM.DD": r"\d{4}\.\d{1,2}\.\d{1,2}",
    "YYYY/MM/DD": r"\d{4}/\d{1,2}/\d{1,2}",
    "DD/MM/YYYY": r"(0?[1-9]|[12]\d|3[01])/(0?[1-9]|1[0-2])/\d{4}",
    "MM/DD/YYYY": r"(0?[1-9]|1[0-2])/(0?[1-9]|[12]\d|3[01])/\d{4}",
    "DD-MM-YYYY": r"\d{1,2}-\d{1,2}-\d{4}",
    "YYYYMMDD": r"(19|20)\d{2}(0\d|1[0-2])[0-3]\d",
}
_TIME: Final = r"([ T]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?)?"


def find_dates(cells: Mapping[str, TextColumn], known: Columns) -> dict[str, Any]:
    """Return the setting of dates; columns and notes are added to what was found.

    Args:
        cells: Column as spelled → its cells.
        known: What the columns are.
    """
    forms = {
        name: _fitting(cells[name])
        for name, targets in known.targets.items()
        if not _TARGETS.isdisjoint(targets)
    }
    forms = {name: fitting for name, fitting in forms.items() if fitting}
    exam, day = known.column_of("exam_id"), known.column_of("exam_date")
    if exam is not None and day is None and exam in forms:
        known.targets[exam].append("exam_date")  # a date that names the exam
    elif exam is None and day is not None and day in forms:
        known.targets[day].insert(0, "exam_id")
        known.notes.append(
            f"A date, {day!r}, is an exam of a patient. Without `exam_id`, a DICOM study would be "
            "one."
        )
    others = [fitting for fitting in forms.values() if fitting != [_ISO]]
    if not others:
        return {}
    common = [form for form in _FORMS if all(form in fitting for fitting in others)]
    if not common:
        known.notes.append("Dates are written in several ways: only one can be read (`dates`).")
    elif {"DD/MM/YYYY", "MM/DD/YYYY"} <= set(common):
        known.notes.append("Dates are read as DD/MM/YYYY, and may be MM/DD/YYYY: see `dates`.")
    return {"dates": (common or others[0])[0]}


def _fitting(column: TextColumn) -> list[str]:
    """Return the forms that all cells of a column fit."""
    words = [word for word in column.words if word]
    return [
        form
        for form, pattern in _FORMS.items()
        if words and all(re.fullmatch(pattern + _TIME, word) for word in words)
    ]
