"""Sides of patients are stored, inherited, limited by the vault, and safe under concurrency."""

import threading

import pandas as pd
import pytest

from mammo_core.datasets import publish
from mammo_core.datasets.tables import put_table
from mammo_core.errors import RecordError
from mammo_core.features.assignments import (
    Assignment,
    DrawId,
    current_assignment,
    extend_assignment,
)
from mammo_core.features.kinds import ASSIGNMENT, FRAME, FrameFacts
from mammo_core.packaging.patient_list import PATIENTS, patient_list
from mammo_core.recipes import load_recipe
from mammo_core.runs import Run
from mammo_core.runs.garbage import find_garbage
from mammo_core.sources import assign
from mammo_core.sources.kinds import TABLES, TableFacts
from mammo_core.steps.sides import run_sides
from mammo_core.steps.step import StepContext
from tests.support.registry_fixtures import put_version

STRATIFIED = "split={name: stratified}"


def patients(count, start=0, prefix="P"):
    """One image of each patient; a third of them malignant."""
    numbers = range(start, start + count)
    return pd.DataFrame(
        {
            "image_id": [f"{prefix}-{at}" for at in numbers],
            "patient_key": [f"{prefix}_{at:05d}" for at in numbers],
            "malignant": [int(at % 3 == 0) for at in numbers],
            "lesion_types": [("mass", "calc")[at % 2] for at in numbers],
            "official_splits": "train",
            "source": "cbis_ddsm",
            "manufacturer": "hologic",
        }
    )


def put_tables(store, images):
    id = TABLES.content_id({}, [(row, "") for row in images["image_id"]])
    manifest = TABLES.manifest(id, config={}, facts=TableFacts())
    file = put_table(store, f"{manifest.folder}/a", "images.parquet", images)
    return publish(store, manifest.model_copy(update={"files": (file,)}))


def sides_of(store, images, *settings, packages=()):
    """Assign the patients of a run; return its split, and the context."""
    drawn = [] if any(each.startswith("split={") for each in settings) else [STRATIFIED]
    recipe = load_recipe("phantom", [*drawn, *settings])
    context = StepContext("publish-features", Run(store, "r"), recipe)
    result = run_sides(context, put_tables(store, images), images, list(packages))
    splits = dict(zip(images["patient_key"], result.result.images["split"], strict=True))
    return splits, result, context


def put_frame(store, images, splits, *, sides="", seed=12345):
    """Publish a frame, as an earlier run left it."""
    split = {"name": "stratified", "seed": seed}
    facts = FrameFacts(mean=1, rescale_factor=1, shuffled_labels=False, split=split)
    rows = images.assign(split=images["patient_key"].map(splits))
    id = FRAME.content_id({}, [(row.image_id, row.split) for row in rows.itertuples()])
    lineage = {"sides": sides} if sides else {}
    manifest = FRAME.manifest(id, config={}, facts=facts, lineage=lineage)
    file = put_table(store, f"{manifest.folder}/a", "images.parquet", rows)
    return publish(store, manifest.model_copy(update={"files": (file,)}))


def of(splits, *names):
    return {key for key, split in splits.items() if split in names}


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


def start_package(store, images, splits, name="start"):
    frame = put_frame(store, images, splits)
    return put_version(store, name, 1, {"frame_id": frame.id}, "b" * 64)


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


def listed_package(store, images, splits, name="far", **changes):
    """A package whose frame is in no store, with its own list of patients."""
    theirs = images.assign(split=images["patient_key"].map(splits))
    before = patients(3, start=900).assign(split="train")
    listed = patient_list("f" * 32, theirs, [before], **changes)
    lineage = {"frame_id": "f" * 32, "fitted_frames": ["f" * 32], "fitted_unknown": []}
    uri = put_version(store, name, 1, lineage, "c" * 64, {PATIENTS: listed.model_dump()})
    return uri, listed


def test_the_list_of_a_package_limits_the_sides_where_its_frame_is_gone(file_store):
    images = patients(60)
    old = {key: "test" if at % 5 == 0 else "train" for at, key in enumerate(images["patient_key"])}
    uri, listed = listed_package(file_store, images, old)
    text = listed.model_dump_json()
    assert not any(key in text for key in [*old, *images["image_id"]])  # digests alone
    later = pd.concat([patients(80), patients(3, start=900)], ignore_index=True)
    splits, _, context = sides_of(file_store, later, packages=[uri])
    assert of(old, "test") <= of(splits, "test") and not of(old, "train") & of(splits, "test")
    # The models before it count too.
    assert not of(splits, "test") & {f"P_{at:05d}" for at in range(900, 903)}
    assert context.facts["contamination"][0]["state"] == "none"


def test_the_list_of_a_package_stops_a_run_on_its_patients(file_store):
    images = patients(40)
    before, _, _ = sides_of(file_store, images)
    uri, _ = listed_package(file_store, images, dict.fromkeys(before, "validation"))
    count = len(of(before, "test"))
    with pytest.raises(RecordError, match=f"{count} of {count} test.*list of patients of far/1"):
        sides_of(file_store, images, packages=[uri])


def test_the_list_of_a_version_from_elsewhere_keeps_its_test_patients_from_training(file_store):
    images = patients(60)
    keys = list(images["patient_key"])
    old = {key: "test" if at < 10 else "train" for at, key in enumerate(keys)}
    listed_package(file_store, images, old, name="phantom")
    # A champion that was trained here has other sides: the older one is in no test set of hers.
    newer = {key: "test" if at % 5 == 4 else "train" for at, key in enumerate(keys) if at >= 10}
    rows = images[images["patient_key"].isin(newer)].reset_index(drop=True)
    frame = put_frame(file_store, rows, newer)
    put_version(file_store, "phantom", 2, {"frame_id": frame.id}, "d" * 64)
    splits, result, _ = sides_of(file_store, images)
    assert not of(splits, "train", "validation") & of(old, "test")
    assert of(newer, "test") <= of(splits, "test") and not result.facts


def test_a_champion_from_elsewhere_gives_the_sides_by_its_list(file_store, capsys):
    images = patients(60)
    # Not the sides that a draw would give.
    old = {key: ("test", "validation", "train", "train")[at % 4]
           for at, key in enumerate(images["patient_key"])}  # fmt: skip
    listed_package(file_store, images, old, name="phantom")
    splits, _, context = sides_of(file_store, patients(66))
    assert {key: splits[key] for key in old} == old
    assert context.facts["assignment"] == {
        "name": "phantom", "known": 60, "new": 6, "redrawn": False
    }  # fmt: skip
    assert "the list of patients of the champion phantom/1" in capsys.readouterr().out
    # Another name is a redraw, within what was tested.
    again, _, context = sides_of(file_store, images, "split.assignment=other")
    assert context.facts["assignment"]["redrawn"]
    assert of(old, "test") <= of(again, "test") | of(again, "excluded")


def test_a_package_of_several_folds_was_fitted_to_the_patients_of_all(file_store):
    images = patients(20)
    frames = [
        put_frame(file_store, images, {key: "test" if at % 2 == fold else "train"
                                       for at, key in enumerate(images["patient_key"])})
        for fold in range(2)
    ]  # fmt: skip
    lineage = {"fitted_frames": [frame.id for frame in frames], "fitted_unknown": []}
    uri = put_version(file_store, "folds", 1, lineage, "d" * 64)
    given = dict.fromkeys(images["patient_key"], "test")
    settings = [f"split={{name: given, patients: {given}}}"]
    with pytest.raises(RecordError, match="20 of 20 test patients"):
        sides_of(file_store, images, *settings, packages=[uri])
    outside = patients(5, start=500)
    given = dict.fromkeys(outside["patient_key"], "test")
    settings = ["model_name=other", f"split={{name: given, patients: {given}}}"]
    splits, _, _ = sides_of(file_store, outside, *settings, packages=[uri])
    assert len(of(splits, "test")) == 5
