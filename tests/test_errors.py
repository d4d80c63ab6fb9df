"""The tree of exceptions."""

import pickle

import pytest

from mammo_core import errors
from mammo_core.errors import MammoError

KINDS = [
    found
    for found in vars(errors).values()
    if isinstance(found, type) and issubclass(found, MammoError)
]


def test_the_tree():
    names = {kind.__name__ for kind in KINDS}
    assert names == {
        "MammoError",
        "RecipeError",
        "SourceError",
        "DicomError",
        "RecordError",
        "ModelError",
        "StoreError",
    }
    # Codes of the command line: 2 for what the user asked, 1 for all else.
    assert {kind.__name__ for kind in KINDS if kind.exit_code == 2} == {"RecipeError"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hint", [None, "do this"])
def test_a_fault_is_told_in_its_parts_and_survives_processes(kind, hint):
    error = kind("It broke", expected="whole", received="parts.", hint=hint)
    text = "It broke. Expected whole. Received parts." + (" do this." if hint else "")
    assert str(error) == text
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind and str(again) == text
    assert (again.problem, again.expected, again.received, again.hint) == (
        "It broke",
        "whole",
        "parts.",
        hint,
    )


def test_parts_are_named():
    with pytest.raises(TypeError):
        MammoError("It broke", "whole", "parts")
