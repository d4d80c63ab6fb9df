"""The tree of exceptions."""

import pickle

import pytest

from mammo_core import errors
from mammo_core.errors import MammoError, RunError, StepFailedError

CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, MammoError)
]


def test_the_tree():
    names = {error_class.__name__ for error_class in CLASSES}
    assert names == {
        "MammoError",
        "RecipeError",
        "RunError",
        "StepFailedError",
        "SourceError",
        "DicomError",
        "RecordError",
        "ModelError",
        "StoreError",
    }
    # Exit codes of the command line: 2 for unusable arguments, 1 for everything else.
    assert {item.__name__ for item in CLASSES if item.exit_code == 2} == {"RecipeError"}
    for name in names:
        assert name in errors.__doc__


@pytest.mark.parametrize("error_class", [item for item in CLASSES if item is not StepFailedError])
@pytest.mark.parametrize("hint", [None, "do this"])
def test_an_error_shows_its_parts_and_survives_pickling(error_class, hint):
    error = error_class("It broke", expected="whole", received="parts.", hint=hint)
    text = "It broke. Expected whole. Received parts." + (" Hint: do this." if hint else "")
    assert str(error) == text
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is error_class and str(again) == text
    assert (again.problem, again.expected, again.received, again.hint) == (
        "It broke",
        "whole",
        "parts.",
        hint,
    )


def test_a_failed_step_shows_its_own_message_once():
    message = str(MammoError("It broke", expected="whole", received="parts"))
    error = pickle.loads(pickle.dumps(StepFailedError("convert", message)))
    assert isinstance(error, RunError)
    assert str(error) == "step convert: It broke. Expected whole. Received parts."


def test_the_parts_are_keyword_arguments():
    with pytest.raises(TypeError):
        MammoError("It broke", "whole", "parts")
