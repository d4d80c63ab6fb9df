"""Sides of patients are stored, inherited, limited by the vault, and safe under concurrency."""

import threading

import pytest

from mammo_core.errors import RecordError
from mammo_core.features.assignments import (
    Assignment,
    DrawId,
    current_assignment,
    extend_assignment,
)
from mammo_core.features.kinds import ASSIGNMENT
from mammo_core.runs.garbage import find_garbage
from mammo_core.sources import assign
from tests.support.registry_fixtures import put_version
from tests.support.sides import of, patients, put_frame, sides_of, start_package


def test_a_first_run_has_the_sides_of_the_draw(file_store):
    images = patients(60)
    splits, result, context = sides_of(file_store, images)
    expected = assign(images, context.recipe.split).patients
    assert splits == dict(expected.itertuples(index=False)) and not result.facts
    assert not context.facts["assignment"]["redrawn"]


def test_patients_keep_their_sides_when_others_are_added_or_are_absent(store, capsys):
    before, first, _ = sides_of(store, patients(60))
    after, second, _ = sides_of(store, patients(66))
    assert {key: after[key] for key in before} == before
    assert "60 patients keep their sides (assignment phantom), 6 are new" in capsys.readouterr().out
    # A source without some of them, and the first one again: the same sides, nothing new stored.
    again, third, _ = sides_of(store, patients(50, start=10))
    assert {key: after[key] for key in again if key in after} == again
    assert third.assignment_id == second.assignment_id != first.assignment_id
    repeated, fourth, _ = sides_of(store, patients(60))
    assert repeated == before and fourth.assignment_id == second.assignment_id
    lineage = ASSIGNMENT.read(store, second.assignment_id).lineage
    assert lineage["parent"] == first.assignment_id


def test_a_patient_is_known_by_an_exact_image_under_another_key(file_store):
    before, _, _ = sides_of(file_store, patients(30))
    renamed = patients(30).assign(patient_key=[f"Q_{at:05d}" for at in range(30)])
    after, _, _ = sides_of(file_store, renamed)
    assert {f"P{key[1:]}": split for key, split in after.items()} == before
    # Equal keys of another source are other patients.
    foreign = patients(30).assign(source="inbreast", image_id=[f"i{at}" for at in range(30)])
    _, _, context = sides_of(file_store, foreign)
    assert context.facts["assignment"]["known"] == 0


def test_another_seed_or_name_is_a_reported_redraw_within_the_vault(file_store, capsys):
    images = patients(90)
    first, _, _ = sides_of(file_store, images)
    for setting in ("split.seed=7", "split.assignment=other"):
        again, _, context = sides_of(file_store, images, setting)
        assert context.facts["assignment"]["redrawn"]
        assert "are drawn anew" in capsys.readouterr().out
        assert of(again, "test") == of(first, "test")  # whoever was tested never enters training
    # Another model is another lineage; a shared assignment has one set of sides.
    other, _, _ = sides_of(file_store, images, "model_name=other", "split.seed=7")
    assert of(other, "test") != of(first, "test")
    shared, _, context = sides_of(file_store, images, "model_name=b", "split.assignment=phantom")
    assert shared == first and context.facts["assignment"]["new"] == 0


def test_a_champion_without_an_assignment_gives_the_sides(file_store, capsys):
    images = patients(60)
    # Not the sides that a draw would give.
    old = {key: ("test", "validation", "train", "train")[at % 4]
           for at, key in enumerate(images["patient_key"])}  # fmt: skip
    frame = put_frame(file_store, images, old)
    put_version(file_store, "phantom", 1, {"frame_id": frame.id}, "a" * 64)
    splits, result, _ = sides_of(file_store, patients(66))
    assert {key: splits[key] for key in old} == old
    assert f"those of the frame {frame.id} of the champion phantom/1" in capsys.readouterr().out
    assert frame.id in ASSIGNMENT.facts_of(ASSIGNMENT.read(file_store, result.assignment_id)).origin


def test_a_champion_without_its_frame_is_reported(file_store, capsys):
    put_version(file_store, "phantom", 1, {"frame_id": "0" * 32}, "a" * 64)
    _, _, context = sides_of(file_store, patients(30))
    assert context.facts["assignment"]["redrawn"]
    assert "its frame is not here" in capsys.readouterr().out


def test_test_patients_of_older_versions_never_enter_training(file_store, capsys):
    images = patients(60)
    keys = list(images["patient_key"])
    for number, tested in ((1, keys[:10]), (2, keys[10:20])):
        splits = {key: "test" if key in tested else "train" for key in keys}
        frame = put_frame(file_store, images, splits)
        put_version(file_store, "phantom", number, {"frame_id": frame.id}, str(number) * 64)
    splits, result, _ = sides_of(file_store, images)
    assert of(splits, "test") == set(keys[10:20]) and of(splits, "excluded") == set(keys[:10])
    assert result.facts == {"tested_before": 10}
    assert "10 patients are in neither training nor validation" in capsys.readouterr().out


def test_a_model_inherits_the_sides_of_the_package_that_it_starts_from(file_store, capsys):
    images = patients(60)
    old = {key: ("test", "validation", "train", "train", "train")[at % 5]
           for at, key in enumerate(images["patient_key"])}  # fmt: skip
    uri = start_package(file_store, images, old)
    splits, result, context = sides_of(file_store, patients(80), packages=[uri])
    assert {key: splits[key] for key in old} == old
    assert "frames of the models that training starts from; 20 are new" in capsys.readouterr().out
    assert not result.facts and context.facts["contamination"][0]["state"] == "none"


def test_a_redraw_stays_within_what_a_start_package_saw(file_store):
    images = patients(60)
    old = {key: "test" if at % 5 == 0 else "train" for at, key in enumerate(images["patient_key"])}
    uri = start_package(file_store, images, old)
    sides_of(file_store, patients(20, start=200))
    splits, result, _ = sides_of(file_store, patients(80), "split.seed=7", packages=[uri])
    assert of(old, "test") <= of(splits, "test") and not of(old, "train") & of(splits, "test")
    assert of(splits, "validation") & of(old, "train") and not result.facts


def test_overlap_with_a_start_package_stops_the_run_or_is_excluded(file_store):
    images = patients(60)
    before, _, _ = sides_of(file_store, images)
    tested = sorted(of(before, "test"))
    fitted = {key: "train" if key in tested[:4] else "validation" for key in tested[:6]}
    # Two of them under other keys: exact images count too.
    rows = images[images["patient_key"].isin(fitted)].reset_index(drop=True)
    theirs = rows.assign(patient_key=[*rows["patient_key"][:4], "X_1", "X_2"])
    uri = start_package(file_store, theirs, dict.fromkeys(theirs["patient_key"], "train"))
    with pytest.raises(RecordError, match=f"6 of {len(tested)} test patients") as caught:
        sides_of(file_store, images, packages=[uri])
    assert "split.overlap=exclude" in str(caught.value) and "P_0" not in str(caught.value)
    settings = ["split.overlap=exclude"]
    splits, result, context = sides_of(file_store, images, *settings, packages=[uri])
    assert of(splits, "excluded") == set(fitted)
    assert result.facts == {"seen_by_ancestors": 6, "images_seen_by_ancestors": 6}
    (facts,) = context.facts["contamination"]
    assert (facts["state"], facts["fitted"], facts["fitted_images"]) == ("excluded", 6, 6)
    # The stored sides stay: without the package they are test patients again.
    assert sides_of(file_store, images)[0] == before


def test_training_patients_that_an_ancestor_tested_are_left_out(file_store):
    images = patients(60)
    before, _, _ = sides_of(file_store, images)
    theirs = sorted(of(before, "train"))[:5]
    uri = start_package(file_store, images, {k: "test" if k in theirs else "train" for k in before})
    settings = ["split.overlap=exclude"]
    splits, result, _ = sides_of(file_store, images, *settings, packages=[uri])
    assert set(theirs) <= of(splits, "excluded") and result.facts["tested_before"] == 5


def test_each_fold_is_a_lineage_of_its_own(file_store):
    images = patients(40)
    folds = [
        sides_of(file_store, images, f"split={{name: folds, folds: 4, fold: {fold}}}")[0]
        for fold in range(4)
    ]
    tested = [of(splits, "test") for splits in folds]
    assert sorted(key for keys in tested for key in keys) == sorted(images["patient_key"])
    assert not any(of(splits, "excluded") for splits in folds)
    grown = [
        sides_of(file_store, patients(47), f"split={{name: folds, folds: 4, fold: {fold}}}")[0]
        for fold in range(4)
    ]
    for before, after in zip(folds, grown, strict=True):
        assert {key: after[key] for key in before} == before
    assert sum(len(of(splits, "test")) for splits in grown) == 47


def test_two_runs_at_once_keep_the_patients_of_both(store):
    draw = DrawId("m", "stratified", 1, 1)
    barrier = threading.Barrier(2, timeout=60)

    def add(number):
        first = [True]

        def extend(state):
            if first.pop() if first else False:
                barrier.wait()  # both have read the same state
            before = {} if state is None else dict(state.patients)
            mine = {("site", f"{number}-{at}"): ("train",) for at in range(3)}
            return Assignment({**mine, **before}, {})

        extend_assignment(store, draw, extend)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state = current_assignment(store, draw)
    assert len(state.patients) == 6


def test_garbage_collection_keeps_the_sides(file_store):
    before, _, _ = sides_of(file_store, patients(30))
    report = find_garbage(file_store, [], grace_s=0, now=2e9)
    for item in report.garbage:
        for key in item.keys:
            file_store.delete(key)
    assert sides_of(file_store, patients(30))[0] == before


def test_patients_who_share_a_picture_are_on_one_side_or_left_out(file_store):
    before, _, _ = sides_of(file_store, patients(30))
    tested, trained = sorted(of(before, "test"))[0], sorted(of(before, "train"))[0]
    # A copy of a known patient's image joins her; two known ones cannot both stay.
    links = {tested: tested, "P_00030": tested}
    after, result, _ = sides_of(file_store, patients(40), links=links)
    assert after["P_00030"] == "test" and not result.facts
    assert {key: after[key] for key in before} == before
    links = dict.fromkeys((tested, trained, "P_00030"), tested)
    after, result, _ = sides_of(file_store, patients(40), links=links)
    assert after[trained] == "train" and after[tested] == after["P_00030"] == "excluded"
    assert result.facts == {"copies_on_another_side": 2}
