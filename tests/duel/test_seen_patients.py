"""Whom a champion has seen, where its frame is in no store: by its own list of patients."""

import pytest

from mammo_core.features.kinds import FRAME
from mammo_core.packaging.patient_list import PATIENTS, patient_list
from mammo_core.packaging.signatures.checksums import write_sums
from mammo_core.registry import push
from tests.duel.conftest import put_candidate
from tests.support.packages import build_small

#: A frame that is in no store: of another cluster, or removed.
GONE = "9" * 32


@pytest.fixture
def tested(scene):
    return [key for key, split in scene.splits.items() if split == "test"]


def images_of(scene, patients, split):
    return scene.images[scene.images["patient_key"].isin(patients)].assign(split=split)


def far_package(scene, tmp_path, images, *, before=(), listed=True, **changes):
    """Build a package from elsewhere: fitted to images whose frame is not in this store."""
    lineage = {"frame_id": GONE, "fitted_frames": [GONE], "fitted_unknown": []}
    arguments = {"seed": 3, "lineage": lineage}
    if listed:
        arguments["patients"] = patient_list(GONE, images, before, **changes)
    return build_small(tmp_path / "far", **arguments)


def duel_with(scene, champion, challenger):
    assert FRAME.find(scene.store, GONE) is None
    push(scene.store, champion, "m")
    duel = scene.duel(put_candidate(scene.store, challenger))
    table = scene.table(duel)
    fitted_to = set(table.loc[table["left_out"] == "seen by the champion", "patient_key"])
    return duel.facts, fitted_to


def test_the_list_of_a_champion_from_another_store_counts(scene, challenger, tested, tmp_path):
    images = images_of(scene, tested[:2], "train")
    facts, fitted_to = duel_with(scene, far_package(scene, tmp_path, images), challenger)
    assert fitted_to == set(tested[:2])
    assert (facts["left_out"], facts["champion"]["fitted_test_patients"]) == (2, 2)
    assert facts["champion"]["unknown"] == []


def test_patients_of_its_test_set_are_no_reason_and_those_of_models_before_it_are(
    scene, challenger, tested, tmp_path
):
    tested_by_it = images_of(scene, tested, "test")
    before = images_of(scene, tested[2:3], "validation")
    champion = far_package(scene, tmp_path, tested_by_it, before=[before])
    facts, fitted_to = duel_with(scene, champion, challenger)
    assert fitted_to == {tested[2]} and facts["champion"]["unknown"] == []


def test_a_patient_with_another_key_is_known_by_her_files(scene, challenger, tested, tmp_path):
    images = images_of(scene, tested[:1], "train")
    images = images.assign(patient_key="renamed")
    _, fitted_to = duel_with(scene, far_package(scene, tmp_path, images), challenger)
    assert fitted_to == {tested[0]}


def test_what_the_list_does_not_know_is_said(scene, challenger, tested, tmp_path):
    images = images_of(scene, tested[:1], "train")
    champion = far_package(scene, tmp_path, images, unknown=["a start package is gone"])
    facts, fitted_to = duel_with(scene, champion, challenger)
    assert fitted_to == {tested[0]}
    assert facts["champion"]["unknown"] == ["a start package is gone"]


def test_without_list_and_frame_the_patients_are_unknown(scene, challenger, tested, tmp_path):
    images = images_of(scene, tested[:1], "train")
    champion = far_package(scene, tmp_path, images, listed=False)
    facts, fitted_to = duel_with(scene, champion, challenger)
    assert not fitted_to
    [sentence] = facts["champion"]["unknown"]
    assert f"the frame {GONE}" in sentence and "is not in the store" in sentence


def test_a_list_that_cannot_be_read_makes_them_unknown(scene, challenger, tested, tmp_path):
    champion = far_package(scene, tmp_path, images_of(scene, tested[:1], "train"))
    (champion / PATIENTS).write_text('{"frame_id": 3}')
    write_sums(champion)
    facts, fitted_to = duel_with(scene, champion, challenger)
    assert not fitted_to and len(facts["champion"]["unknown"]) == 2
    assert "cannot be read" in facts["champion"]["unknown"][0]
