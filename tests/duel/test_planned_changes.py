"""The gate decides by a change-control plan: real packages, a real duel, a push and its record."""

import json

import pytest

from mammo_core import steps
from mammo_core.packaging.chain import chain_of
from mammo_core.packaging.settings import model_settings
from mammo_core.recipes import load_recipe
from mammo_core.registry import champion as champion_of
from mammo_core.registry import push
from mammo_core.registry.audit.audit import audit
from mammo_core.registry.version_files import released_by
from tests.duel.conftest import put_candidate
from tests.duel.test_decisions import decide, put_evaluation
from tests.support.packages import build_small

PLAN = {
    "name": "spring",
    "model": "m",
    "data": {"new_patients": True, "test_patients": "any", "manufacturers": None},
    "settings": {"may_change": ["seed"]},
    "metrics": [{"metric": "auc", "margin": 1.0}],
    "judged_by": "point",
}


def documented(scene, folder, seed, *settings):
    """Build a package that says how it was made, as a run does."""
    recipe = load_recipe("phantom", [f"source.root={scene.root}", *settings])
    return build_small(
        folder,
        seed=seed,
        settings=model_settings(recipe.model_dump(mode="json")),
        chain=chain_of(scene.store, [scene.frame]),
        lineage={"frame_id": scene.frame.id, "fitted_frames": [scene.frame.id]},
    )


def gate_of(scene, candidate, plan, *settings):
    duel = scene.duel(candidate)
    evaluation = put_evaluation(scene, duel, id=candidate.lineage["evaluation"])
    more = [f"gate.plan={json.dumps(plan)}"] if plan else []
    return decide(scene, duel, evaluation, "gate.margin=1.0", *more, *settings)


@pytest.fixture
def released(scene, tmp_path):
    """The first version, released under the plan by the steps of a run."""
    folder = documented(scene, tmp_path / "first", 1)
    candidate = put_candidate(scene.store, folder)
    result, decision = gate_of(scene, candidate, PLAN)
    assert result["passed"]
    steps.push(scene.begin("p1", f"gate.plan={json.dumps(PLAN)}", "gate.margin=1.0"),
               candidate=candidate, decision=decision)  # fmt: skip
    return scene


def test_the_gate_executes_the_plan_and_a_push_records_it(released, tmp_path):
    scene = released
    first = champion_of(scene.store, "m")
    record = released_by(scene.store, first)
    assert record.plan.name == "spring" and record.champion == ""
    assert [link.kind for link in record.links] == ["candidates", "duels", "gates"]

    # Another batch size is not in the plan; another seed is.
    changed = documented(scene, tmp_path / "batch", 2, "seed=5", "image_training.batch_size=3")
    candidate = put_candidate(scene.store, changed, id="a" * 32, evaluation="5" * 32)
    result, _ = gate_of(scene, candidate, PLAN)
    assert not result["passed"] and result["decision"] == "stop"
    assert [change["name"] for change in result["changes"] if not change["allowed"]] == [
        "image_training.batch_size"
    ]
    assert any("batch_size: 8 → 3: forbidden" in reason for reason in result["reasons"])

    # A plan cannot be left by leaving it out, nor be replaced by one that does not say so.
    result, _ = gate_of(scene, candidate, None)
    assert not result["passed"] and any("released under it" in text for text in result["reasons"])
    wider = {**PLAN, "settings": {"may_change": ["seed", "image_training"]}}
    result, _ = gate_of(scene, candidate, wider, "seed=3")
    assert not result["passed"] and any("`replaces` must be" in text for text in result["reasons"])

    wider |= {"replaces": record.plan.digest}
    result, decision = gate_of(scene, candidate, wider, "seed=4")
    assert result["passed"], result["reasons"]
    run = scene.begin("p2", f"gate.plan={json.dumps(wider)}", "gate.margin=1.0", "seed=4")
    steps.push(run, candidate=candidate, decision=decision)
    second = champion_of(scene.store, "m")
    assert second.version == 2
    record = released_by(scene.store, second)
    assert record.champion == first.model_id
    kinds = [link.kind for link in record.links]
    assert kinds == ["candidates", "duels", "duels/scores", "duels/scores", "gates"]
    audited = audit(scene.store, "m", quiet=True)
    assert audited.faults == ()
    assert audited.versions[1].champion == first.model_id


def test_a_plan_of_another_model_stops(scene, challenger):
    candidate = put_candidate(scene.store, challenger)
    result, _ = gate_of(scene, candidate, {**PLAN, "model": "other"})
    assert not result["passed"] and "is of the model other" in result["reasons"][-1]


def test_a_champion_that_says_nothing_of_itself_stops_and_the_champion_itself_passes(
    scene, champion, tmp_path
):
    push(scene.store, champion, "m")  # by hand, without settings
    folder = documented(scene, tmp_path / "second", 2)
    candidate = put_candidate(scene.store, folder)
    result, _ = gate_of(scene, candidate, PLAN)
    forbidden = [change for change in result["changes"] if not change["allowed"]]
    assert [(change["part"], change["before"]) for change in forbidden] == [
        ("settings", "unknown"),
        ("data", "unknown"),
    ]
    same = put_candidate(scene.store, champion, id="a" * 32, evaluation="5" * 32)
    result, _ = gate_of(scene, same, PLAN)
    assert result["passed"] and "already the champion" in result["reasons"]
