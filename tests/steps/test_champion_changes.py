"""A champion that changes while a run is on its way."""

import pytest

from mammo_core.duel.kinds import Contestant, DuelFacts
from mammo_core.errors import RunError
from mammo_core.recipes import load_recipe
from mammo_core.runs import Run
from mammo_core.steps.release import _check_champion
from mammo_core.steps.step import StepContext
from mammo_core.store import open_store
from tests.support.registry_fixtures import put_version

_CHALLENGER = Contestant(name="the challenger", model_id="c")


def _facts(state, champion=""):
    contestant = Contestant(name="the champion phantom/1", model_id=champion) if champion else None
    return DuelFacts(state=state, challenger=_CHALLENGER, champion=contestant)


@pytest.fixture
def store(tmp_path):
    return open_store((tmp_path / "store").as_uri())


def _context(store, start=""):
    settings = [f"image_training.start={start}"] if start else []
    return StepContext("gate", Run(store, "r"), load_recipe("phantom", settings))


def test_the_champion_of_the_duel_is_that_of_the_gate(store):
    _check_champion(_context(store), _facts("no champion"))
    put_version(store, "phantom", 1, {}, "a")
    _check_champion(_context(store), _facts("compared", "a"))
    put_version(store, "phantom", 2, {}, "b")
    with pytest.raises(RunError, match=r"changed after the duel.*phantom/2.*run it again"):
        _check_champion(_context(store), _facts("compared", "a"))
    with pytest.raises(RunError, match="Expected no champion"):
        _check_champion(_context(store), _facts("no champion"))


def test_a_training_from_an_earlier_champion_says_so(store, capsys):
    first = put_version(store, "phantom", 1, {}, "a")
    _check_champion(_context(store, first), _facts("compared", "a"))
    assert "champion changed" not in capsys.readouterr().out
    second = put_version(store, "phantom", 2, {}, "b")
    context = _context(store, first)
    _check_champion(context, _facts("compared", "b"))
    assert f"trained from {first} and compared with {second}" in capsys.readouterr().out
    assert context.facts == {"champion_changed": f"{first} to {second}"}
    # A model of another name, or from elsewhere, is no champion of this one.
    _check_champion(_context(store, "s3://other/models/phantom/1"), _facts("compared", "b"))
