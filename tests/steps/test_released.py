"""Whether an evaluated model is the champion already, and has passed the same gate."""

import json

import pytest

from mammo_core.datasets import publish
from mammo_core.datasets.manifests import put_bytes
from mammo_core.packaging.kinds import CANDIDATE, CandidateFacts
from mammo_core.recipes import load_recipe
from mammo_core.registry.kinds import GATE, PUSH, GateFacts, PushFacts
from mammo_core.runs import Run
from mammo_core.steps.release import _note_of, is_released
from tests.support.registry_fixtures import put_version, remove_model

LINEAGE = {"evaluation": "e1", "image_training": "t1"}


def candidate(id="c1"):
    facts = CandidateFacts(model_id="m1", name="phantom", unit="image")
    return CANDIDATE.manifest(id, config={}, facts=facts, lineage=LINEAGE)


@pytest.fixture
def pushed(file_store):
    """A store in which the candidate was pushed as the champion."""
    recipe = load_recipe("phantom")
    facts = GateFacts(passed=True, decision="push", reasons=("good",))
    decision = GATE.manifest("g1", config={}, facts=facts, lineage={"evaluation": "e1"})
    page = json.dumps({"passed": True, "reasons": ["good"]}).encode()
    file = put_bytes(file_store, decision.folder, "gate.json", page)
    publish(file_store, decision.model_copy(update={"files": (file,)}))
    uri = put_version(file_store, recipe.model_name, 1, {}, "m1")
    push = PushFacts(model_uri=uri, version=1, model_id="m1")
    publish(file_store, PUSH.manifest("p1", config={}, facts=push))
    note = json.dumps(
        {
            "gate": decision.model_dump(mode="json"),
            "push": PUSH.manifest("p1", config={}, facts=push).model_dump(mode="json"),
            "facts": {"gate": json.loads(page)},
        }
    ).encode()
    file_store.write(_note_of(recipe, candidate()), note)
    return file_store, recipe, uri


def test_the_same_model_and_gate_leave_nothing_to_release(pushed, capsys):
    store, recipe, uri = pushed
    run = Run(store, "again")
    assert is_released(run, recipe, candidate())
    statuses = run.statuses()
    assert set(statuses) == {"gate", "push"}
    assert all(status["reused"] for status in statuses.values())
    assert statuses["gate"]["facts"]["gate"]["passed"]
    assert statuses["push"]["facts"]["model_uri"] == uri
    assert f"already the champion: {uri}" in capsys.readouterr().out


def test_another_gate_candidate_or_champion_is_to_be_decided(pushed):
    store, recipe, _ = pushed
    run = Run(store, "again")
    assert not is_released(run, load_recipe("phantom", ["gate.min_auc=0.99"]), candidate())
    assert not is_released(run, recipe, candidate("c2"))
    put_version(store, recipe.model_name, 2, {}, "m2")
    assert not is_released(run, recipe, candidate())
    remove_model(store, recipe.model_name)
    assert not is_released(run, recipe, candidate())
    assert not run.statuses()
