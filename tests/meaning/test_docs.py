"""docs/dicom.md lists every view, modifier, fact and warning."""

import re
from pathlib import Path

import pytest

from mammo_core.dicom.inspection import FACTS
from mammo_core.dicom.meanings.views import MODIFIERS, VIEWS

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "dicom.md").read_text()
CODES = {
    code
    for path in (REPOSITORY / "mammo_core" / "dicom").rglob("*.py")
    for code in re.findall(r'code="(\w+)"', path.read_text())
}


@pytest.mark.parametrize("name", [*VIEWS, *MODIFIERS])
def test_codes_of_views_and_modifiers(name):
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {name} |"))
    codes = VIEWS[name][0] if name in VIEWS else MODIFIERS[name][1]
    assert all(code in row for code in codes)


def test_facts_and_warnings():
    assert "conflict" in CODES
    assert [name for name in (*FACTS, *sorted(CODES)) if f"`{name}`" not in PAGE] == []
