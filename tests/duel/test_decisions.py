"""What a duel leaves out, when there is none, and what the gate makes of it."""

import json

import numpy as np
import pytest

from mammo_core import steps
from mammo_core.datasets import publish
from mammo_core.datasets.tables import put_table
from mammo_core.errors import RunError
from mammo_core.evaluation.kinds import EVALUATION, EvaluationFacts, EvaluationSummary
from mammo_core.features.kinds import FRAME
from mammo_core.registry import push
from tests.duel.conftest import put_candidate, put_frame
from tests.support.packages import build_small

SUMMARY = EvaluationSummary(
    patch_accuracy=0.5,
    auc=0.5,
    auc_ci95=(0.0, 1.0),
    n_test_images=1,
    n_test_views=1,
    n_test_patients=1,
    n_test_patches=1,
)


def put_evaluation(scene, duel, *, shift=0.0, shuffled=False, id="e" * 32):
    """Publish an evaluation with the probabilities that the challenger has in a duel."""
    table = scene.table(duel) if duel.files else None
    if table is None:
        rows = scene.images[scene.images["patient_key"].map(scene.splits) == "test"]
        table = rows.rename(columns={"malignant": "label"}).assign(
            challenger_probability=np.linspace(0.1, 0.9, len(rows))
        )
    names = ("image_id", "patient_key", "exam_key", "view_id", "laterality", "view", "view_class")
    scores = table["challenger_probability"].fillna(0.5) + shift
    tested = table[[*names, "label"]].assign(probability=scores)
    manifest = EVALUATION.manifest(
        id, config={}, facts=EvaluationFacts(summary=SUMMARY, shuffled_labels=shuffled)
    )
    file = put_table(scene.store, manifest.folder, "test.parquet", tested)
    return publish(scene.store, manifest.model_copy(update={"files": (file,)}))


def fitted_package(scene, tmp_path, patients):
    """Build a package that was fitted to some patients."""
    frame = put_frame(scene.store, scene.tables, dict.fromkeys(patients, "train"), id="9" * 32)
    lineage = {"frame_id": frame.id, "fitted_frames": [frame.id], "fitted_unknown": []}
    return build_small(tmp_path / "fitted", seed=3, lineage=lineage)


def decide(scene, duel, evaluation, *settings):
    run = scene.begin(f"g{len(settings)}", *settings)
    decision = steps.gate(run, evaluation=evaluation, duel=duel)
    return json.loads(scene.store.read(decision.file("gate.json").key)), decision


def test_without_a_champion_there_is_no_duel_and_only_the_floor(scene, challenger):
    duel = scene.duel(put_candidate(scene.store, challenger))
    assert duel.facts["state"] == "no champion" and duel.files == ()
    result, _ = decide(scene, duel, put_evaluation(scene, duel))
    assert result["passed"] and "no champion to compare with" in result["reasons"]
    good, _ = decide(scene, duel, put_evaluation(scene, duel), "gate.min_auc=1.0")
    assert not good["passed"] and good["decision"] == "stop"


def test_patients_that_one_of_them_has_seen_are_left_out(scene, challenger, tmp_path, capsys):
    tested = [key for key, split in scene.splits.items() if split == "test"]
    push(scene.store, fitted_package(scene, tmp_path, tested[:2]), "m")
    duel = scene.duel(put_candidate(scene.store, challenger))
    facts = duel.facts
    assert (facts["test_patients"], facts["left_out"]) == (len(tested), 2)
    assert facts["champion"]["fitted_test_patients"] == 2
    table = scene.table(duel)
    of_seen = table["patient_key"].isin(tested[:2])
    assert set(table.loc[of_seen, "left_out"]) == {"seen by the champion"}
    assert (table.loc[~of_seen, "left_out"] == "").all()
    assert table.loc[of_seen, "challenger_probability"].isna().all()
    result, _ = decide(scene, duel, put_evaluation(scene, duel))
    assert any(
        f"2 of {len(tested)} test patients are left out" in text for text in result["reasons"]
    )
    assert "2 test patients are left out" in capsys.readouterr().out


def test_too_few_patients_left_cannot_be_compared(scene, challenger, tmp_path):
    tested = [key for key, split in scene.splits.items() if split == "test"]
    push(scene.store, fitted_package(scene, tmp_path, tested[1:]), "m")
    duel = scene.duel(put_candidate(scene.store, challenger))
    assert duel.facts["left_out"] == len(tested) - 1
    evaluation = put_evaluation(scene, duel)
    result, _ = decide(scene, duel, evaluation)
    assert result["decision"] == "cannot compare" and not result["passed"]
    assert any("cannot compare with the champion" in reason for reason in result["reasons"])
    result, decision = decide(scene, duel, evaluation, "gate.cannot_compare=push")
    assert result["decision"] == "cannot compare" and decision.facts["passed"]


def test_another_geometry_does_not_block_and_is_found_again(scene, challenger, champion, capsys):
    push(scene.store, champion, "m")
    duel = scene.duel(put_candidate(scene.store, challenger))
    result, _ = decide(scene, duel, put_evaluation(scene, duel), "gate.margin=1.0")
    assert result["decision"] in ("push", "stop") and result["compared_auc"] is not None
    assert result["difference"] == pytest.approx(result["compared_auc"] - result["champion_auc"])
    capsys.readouterr()
    other = scene.begin("r2", "seed=5")
    again = scene.duel(put_candidate(scene.store, challenger, id="a" * 32), run=other)
    assert again.id != duel.id
    out = capsys.readouterr().out
    assert out.count("reusing duels/scores/") == 2
    assert scene.table(again).equals(scene.table(duel))


def test_a_package_that_scores_otherwise_than_its_evaluation_is_not_pushed(
    scene, challenger, champion
):
    push(scene.store, champion, "m")
    duel = scene.duel(put_candidate(scene.store, challenger))
    result, _ = decide(scene, duel, put_evaluation(scene, duel, shift=0.01), "gate.margin=1.0")
    assert not result["passed"] and result["decision"] == "stop"
    assert "scores images otherwise than its evaluation" in result["reasons"][-1]


def test_permuted_labels_are_never_compared_or_pushed(scene, challenger, champion):
    push(scene.store, champion, "m")
    frame = put_frame(scene.store, scene.tables, scene.splits, id="8" * 32, shuffled=True)
    assert FRAME.facts_of(frame).shuffled_labels
    duel = scene.duel(put_candidate(scene.store, challenger), frame=frame)
    assert duel.facts["state"] == "permuted labels"
    result, _ = decide(scene, duel, put_evaluation(scene, duel, shuffled=True))
    assert not result["passed"] and "never pushed" in result["reasons"][0]


def test_the_champion_itself_has_no_duel(scene, champion):
    push(scene.store, champion, "m")
    duel = scene.duel(put_candidate(scene.store, champion))
    assert duel.facts["state"] == "already the champion"
    result, _ = decide(scene, duel, put_evaluation(scene, duel))
    assert result["passed"] and "already the champion" in result["reasons"]


def test_a_duel_of_another_evaluation_is_refused(scene, challenger):
    duel = scene.duel(put_candidate(scene.store, challenger, evaluation="7" * 32))
    with pytest.raises(RunError, match="not that of the evaluated model"):
        decide(scene, duel, put_evaluation(scene, duel))


def test_a_file_that_changed_since_it_was_indexed_stops_the_duel(
    scene, challenger, champion, tmp_path
):
    import shutil

    from mammo_core.errors import SourceError

    root = tmp_path / "changed"
    shutil.copytree(scene.root, root)
    push(scene.store, champion, "m")
    tested = scene.images[scene.images["patient_key"].map(scene.splits) == "test"]
    path = root / tested["path"].iloc[0]
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(bytes(data))
    run = scene.begin("r3", f"source.root={root}")
    with pytest.raises(SourceError, match="changed since it was indexed"):
        scene.duel(put_candidate(scene.store, challenger), run=run)
