"""No cell of a CSV file that is written is a formula of a spreadsheet."""

import csv
import itertools
import re
import time
from pathlib import Path

import pytest

from mammo_core.csv_cells import escape_cell, unescape_cell

FORMULAS = [
    "=1+1",
    "+SUM(A1)",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1)",
    "\t=1",
    " =1",
    '=HYPERLINK("http://a","b")',
    "＝1",
    "'=1",
    "''=1",
    "%0A=1",
    "\u200b=1",
    "\ufeff=1",
    "\u202e@x",
    "'\xad=1",
    "\ufe661",
]
#: Texts that begin another cell where a semicolon or a tab divides them, and what is written.
INNER = {
    "a;=1": "a;'=1",
    "a; =1;-x": "a; '=1;'-x",
    ";=1": ";'=1",
    "a\t+SUM(A1)": "a\t'+SUM(A1)",
    "a\n=1": "a\n'=1",
    "a\n\n=1": "a\n\n'=1",
    'a;"=1': "a;\"'=1",
    "a;'=1": "a;''=1",
    "a;''=1": "a;'''=1",
    "a;\u200b=1": "a;\u200b'=1",
    "=1;=1": "'=1;'=1",
}


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_written_as_text_and_read_back(text):

    assert escape_cell(text) == f"'{text}".replace("\t=", "\t'=")
    assert unescape_cell(escape_cell(text)) == text


@pytest.mark.parametrize("text", INNER)
def test_no_other_cell_begins_with_a_formula(text):
    # OWASP, CSV Injection: a field separator within a cell begins another one.
    assert escape_cell(text) == INNER[text]
    assert unescape_cell(INNER[text]) == text


def test_every_text_is_read_back():
    letters = ";\t\n '\"=-a\u200b"
    sizes = range(1, 6)
    texts = ["".join(draw) for size in sizes for draw in itertools.product(letters, repeat=size)]
    assert [unescape_cell(escape_cell(text)) for text in texts] == texts


@pytest.mark.parametrize("start", ";a")
@pytest.mark.parametrize("fill", " \"';\t")
def test_long_cells_are_escaped_at_once(start, fill):
    text = start + fill * 20_000
    begin = time.process_time()
    assert unescape_cell(escape_cell(text)) == text
    assert time.process_time() - begin < 1


@pytest.mark.parametrize(
    "value", ["a/b.dcm", "-0.25", "+1e-5", "'quoted'", "a; b", "", 0.5, -1, None]
)
def test_other_cells_are_unchanged(value):

    assert escape_cell(value) == value
    if isinstance(value, str):
        assert unescape_cell(value) == value


def test_a_cell_cannot_begin_another_row():

    assert escape_cell("a\r=1\0") == "a\ufffd=1\ufffd"
    assert escape_cell("\r=1") == "'\ufffd=1"


def test_a_table_of_scores_contains_no_formula(tmp_path):
    from mammo_core.scoring.tables import read_rows, write_table

    rows = [{"path": f"{text}.dcm", "reason": text} for text in FORMULAS]
    path = tmp_path / "scores.rejects.csv"
    write_table(path, ("path", "reason"), rows)
    assert read_rows(path) == rows

    with path.open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell[:1] in "=+-@\t\r ＝"]


def test_every_writer_of_csv_files_escapes_cells():
    """The tables of the phantom are the source of a run; their cells are numbers and names."""

    root = Path(__file__).parent.parent
    writers = {
        str(path.relative_to(root))
        for room in ("mammo_core", "pipelines", "components")
        for path in (root / room).rglob("*.py")
        if re.search(r"csv\.(writer|DictWriter)\(|\.to_csv\(", path.read_text())
        and "csv_cells" not in path.read_text()
    }
    phantom = {"mammo_core/phantom/tables.py", "mammo_core/phantom/layouts/csv_text.py"}
    assert writers <= phantom
