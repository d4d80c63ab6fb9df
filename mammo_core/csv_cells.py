"""Cells of the CSV files that we write: a spreadsheet shows them, and executes none.

Spreadsheets take a cell that begins with `=`, `+`, `-`, `@` or a control character for a formula,
which can start programs and send the table elsewhere (OWASP, "CSV Injection"). Such a cell gets an
apostrophe in front, which spreadsheets read as "this is text". The names of the files of a source
come from outside, so they can be such cells.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

#: Also the full-width forms, which some spreadsheets take for the ASCII ones.
_FORMULA: Final = re.compile("'*[\\s\x01-\x1f\ufffd]*[=+\\-@|%\uff1d\uff0b\uff0d\uff20]|'*[\t\n]")
#: Python's writer does not quote these, so they would begin another row or end the text.
_BREAKS: Final = {ord("\r"): "\ufffd", 0: "\ufffd"}
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def escape_cell(value: Any) -> Any:
    """Return what is written for a value: text that could be a formula with an apostrophe.

    A carriage return or a null is replaced (U+FFFD).

    Args:
        value: Text, or anything else, which is returned unchanged.
    """
    if not isinstance(value, str):
        return value
    text = value.translate(_BREAKS)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def unescape_cell(text: str) -> str:
    """Return the value of which `escape_cell` made a text.

    Args:
        text: A cell of a file that we wrote.
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def escape_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with its cells escaped.

    Args:
        row: Column → value.
    """
    return {name: escape_cell(value) for name, value in row.items()}
