"""Cells of the CSV files that we write: a spreadsheet shows them, and executes none.

Spreadsheets take a cell that begins with `=`, `+`, `-`, `@` or a control character for a formula,
which can start programs and send the table elsewhere (OWASP, "CSV Injection"). Such a cell gets an
apostrophe in front, which spreadsheets read as "this is text". Where the decimal sign is a comma,
spreadsheets divide lines at semicolons and know no quotes within them: behind a semicolon, a tab or
a line break another cell may begin, so the apostrophe is there, too. The names of the files of a
source come from outside, so they can be such cells.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

#: Also the full-width and small forms, which some spreadsheets take for the ASCII ones.
_START: Final = "[=+\\-@|%\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b]"
#: Blanks, control characters and the format characters of Unicode, which nobody sees.
_INVISIBLE: Final = (
    "[\\s\x01-\x1f\x7f-\x9f\xad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufffd]"
)
_FORMULA: Final = re.compile(f"'*{_INVISIBLE}*{_START}|'*[\t\n]")
#: Where another cell may begin within a cell: what is before the apostrophe, and what follows it.
#: Possessive: no character is read twice.
_BLANKS: Final = f'(?:(?![\t\n])(?:{_INVISIBLE}|"))*+'
_INNER: Final = re.compile(f"([;\t\n]{_BLANKS})(?='*{_BLANKS}{_START})")
_INNER_ESCAPED: Final = re.compile(f"([;\t\n]{_BLANKS})'(?='*{_BLANKS}{_START})")
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
    text = _INNER.sub(r"\1'", value.translate(_BREAKS))
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def unescape_cell(text: str) -> str:
    """Return the value of which `escape_cell` made a text.

    Args:
        text: A cell of a file that we wrote.
    """
    text = text[1:] if text.startswith("'") and _FORMULA.match(text) else text
    return _INNER_ESCAPED.sub(r"\1", text)


def escape_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with its cells escaped.

    Args:
        row: Column → value.
    """
    return {name: escape_cell(value) for name, value in row.items()}
