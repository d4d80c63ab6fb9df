"""The list of patients in a package counts where its frames are not in the store."""

import pandas as pd
import pytest

from mammo_core.errors import RecordError
from mammo_core.packaging.patient_list import PATIENTS, patient_list
from tests.support.registry_fixtures import put_version
from tests.support.sides import of, patients, put_frame, sides_of


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


def test_the_name_of_a_start_package_counts_where_its_frame_is_gone(file_store):
    """Later patients of that name were tested too, though the package does not know them."""
    images = patients(40)
    uri, _ = listed_package(file_store, images, dict.fromkeys(images["patient_key"], "train"))
    later = patients(60, start=500)
    theirs, _, _ = sides_of(file_store, later, "model_name=far", "split.seed=7")
    assert of(theirs, "test")
    splits, _, _ = sides_of(file_store, later, packages=[uri])
    assert not of(theirs, "test") & of(splits, "train", "validation")


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
