"""Test patients that the champion or a start package was fitted to stop a run."""

import json
import uuid

import pandas as pd
import pytest

from mammo_core.datasets import Manifest, publish
from mammo_core.datasets.tables import put_table
from mammo_core.errors import RecordError, StoreError
from mammo_core.registry.lineage.contamination import (
    contamination_error,
    find_contamination,
    require_unseen_test_patients,
)
from mammo_core.runs import read_start_packages
from mammo_core.store import open_store
from mammo_core.training.kinds import lineage_of_members
from tests.support.registry_fixtures import put_version

SPLITS = ("train", "validation", "test")


def output(store, kind, *, facts=None, lineage=None, images=None):
    """Publish an output with what the search reads."""
    manifest = Manifest(
        kind=kind,
        id=uuid.uuid4().hex,
        revision=1,
        config={},
        files=(),
        facts=facts or {},
        lineage=lineage or {},
    )
    if images is not None:
        file = put_table(store, manifest.folder, "images.parquet", images)
        manifest = manifest.model_copy(update={"files": (file,)})
    return publish(store, manifest)


def frame(store, patients, source="cbis_ddsm", site_key=""):
    """Publish a frame with one image per patient, `P_00001:train P_00002:test …`."""
    pairs = [pair.split(":") for pair in patients.split()]
    images = pd.DataFrame(
        {
            "image_id": [uuid.uuid4().hex for _ in pairs],
            "patient_key": [key for key, _ in pairs],
            "split": [split for _, split in pairs],
            "source": source,
            "manufacturer": "hologic",
        }
    )
    facts = {"source": {"site_key": site_key} if site_key else {}}
    tables = output(store, "tables", facts=facts)
    return output(store, "frames", lineage={"tables": tables.id}, images=images)


def version(store, name, number=1, *, fitted_to=None, start="", members=(), model_id="", **lineage):
    """Write a version with its training as the champion of a registry; return its URI."""
    model_id = model_id or uuid.uuid4().hex
    if fitted_to is not None:
        training_lineage = {"frame": fitted_to.id, **({"start": start} if start else {})}
        if members:
            trainings = [
                output(store, "trainings/image", lineage={"frame": member.id}) for member in members
            ]
            training_lineage |= lineage_of_members([training.id for training in trainings])
        training = output(store, "trainings/image", lineage=training_lineage)
        lineage = {"frame_id": fitted_to.id, "image_training_id": training.id, **lineage}
    return put_version(store, name, number, lineage, model_id)


@pytest.fixture
def store(tmp_path):
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def other(tmp_path):
    return open_store((tmp_path / "other").as_uri())


def check(store, ours, uri, role="start package"):
    """Check a frame against a package and return what was found."""
    result = find_contamination(store, ours, uri, role, read_start_packages)
    if result.fitted:
        raise contamination_error(result, store)
    print(result.description())
    return result.to_dict()


OURS = "P_00001:train P_00002:test P_00003:test P_00004:test"
CLEAN = "P_00001:train P_00002:test P_00009:validation"
FITTED = "P_00001:test P_00002:train P_00003:validation P_00004:test"


def test_the_error_has_counts_and_remedy_but_no_patient(store):
    uri = version(store, "m", fitted_to=frame(store, FITTED))
    with pytest.raises(
        RecordError, match=r"2 of 3 test patients were in the training or"
    ) as caught:
        check(store, frame(store, OURS), uri, "champion")
    message = str(caught.value)
    assert "champion" in message and uri in message
    assert "2 in the frame" in message and "split.name=given" in message
    assert "model_name" in message and "P_0000" not in message


def test_a_package_that_was_fitted_to_none_is_reported(store, capsys):
    facts = check(store, frame(store, OURS), version(store, "m", fitted_to=frame(store, CLEAN)))
    assert (facts["state"], facts["fitted"], facts["test_patients"]) == ("none", 0, 3)
    assert "none of the 3 test patients" in capsys.readouterr().out


def test_ancestors_of_the_package_count(store):
    first = version(store, "first", fitted_to=frame(store, FITTED), model_id="a" * 64)
    second = version(store, "m", fitted_to=frame(store, CLEAN), start="a" * 64, model_id="b" * 64)
    third = version(store, "n", fitted_to=frame(store, CLEAN), start="b" * 64)
    assert first and second
    with pytest.raises(RecordError, match=r"2 of 3.*frame \w+ of first/1"):
        check(store, frame(store, OURS), third)


def test_patients_of_two_frames_are_counted_once(store):
    version(
        store, "first", fitted_to=frame(store, "P_00002:train P_00003:train"), model_id="a" * 64
    )
    both = frame(store, "P_00003:train P_00004:train")
    uri = version(store, "m", fitted_to=both, start="a" * 64)
    with pytest.raises(RecordError, match="3 of 3 test patients"):
        check(store, frame(store, OURS), uri)


def test_members_of_an_ensemble_count(store):
    uri = version(store, "m", fitted_to=frame(store, CLEAN), members=[frame(store, FITTED)])
    with pytest.raises(RecordError, match="2 of 3"):
        check(store, frame(store, OURS), uri)


def test_a_start_package_in_another_store_is_searched_there(store, other):
    uri = version(other, "m", fitted_to=frame(other, FITTED))
    with pytest.raises(RecordError, match="2 of 3"):
        check(store, frame(store, OURS), uri)


def test_the_recipe_of_a_run_locates_its_start_package(store, other):
    start = version(other, "m", fitted_to=frame(other, FITTED), model_id="a" * 64)
    recipe = {"image_training": {"start": start.rpartition("/")[0]}}
    store.write("runs/r0/recipe.json", json.dumps(recipe).encode())
    uri = version(store, "n", fitted_to=frame(store, CLEAN), start="a" * 64, run_id="r0")
    with pytest.raises(RecordError, match=r"2 of 3.*of m/1"):
        check(store, frame(store, OURS), uri)


def test_gaps_in_the_record_are_reported_as_unknown(store, tmp_path, capsys):
    ours = frame(store, OURS)
    imported = tmp_path / "network.keras"
    imported.write_bytes(b"")
    gone = version(store, "gone", frame_id="0" * 32)
    silent = version(store, "silent")
    elsewhere = version(store, "m", fitted_to=frame(store, CLEAN), start="c" * 64)
    lost = version(store, "lost", frame_id=frame(store, CLEAN).id, image_training_id="1" * 32)
    for uri, why in (
        (gone, f"the frame {'0' * 32} of gone/1 is not in the store"),
        (silent, "silent/1 does not name the frame"),
        (elsewhere, "the model cccccccccccc…, which m/1 was started from, is not in the store"),
        (lost, f"the training {'1' * 32} of lost/1 is not in the store"),
        (str(imported), "network.keras does not name the frame"),
        (f"file://{tmp_path}/nowhere/models/m/1", "cannot be read here: The model m has no"),
        (f"file://{tmp_path}/nowhere/models/m", "cannot be read here: There is no such model"),
    ):
        facts = check(store, ours, uri)
        assert facts["state"] == "unknown"
        assert any(why in sentence for sentence in facts["reasons"]), (why, facts)
        assert "unknown whether the start package" in capsys.readouterr().out


def test_patient_keys_of_another_site_key_are_unknown(store):
    ours = frame(store, "aa:train bb:test", "table", "11111111")
    same = version(store, "same", fitted_to=frame(store, "aa:train", "table", "11111111"))
    rekeyed = version(store, "rekeyed", fitted_to=frame(store, "cc:train", "table", "22222222"))
    assert check(store, ours, same)["state"] == "none"
    facts = check(store, ours, rekeyed)
    assert facts["state"] == "unknown" and "different site keys" in facts["reasons"][0]


def evaluated(store, ours, fitted_to, **lineage):
    """Check the evaluation of a network whose members were fitted to frames."""
    members = [output(store, "trainings/image", lineage={"frame": each.id}) for each in fitted_to]
    lineage |= {"frame": ours.id, **lineage_of_members([member.id for member in members])}
    image = output(store, "trainings/image", lineage=lineage)
    patch = output(store, "trainings/patch", lineage={"frame": ours.id})
    require_unseen_test_patients(store, ours, patch, image, "r1", read_start_packages)


def test_networks_of_folds_are_evaluated_outside_all_of_them(store):
    ours = frame(store, OURS)
    evaluated(store, ours, [])
    evaluated(store, ours, [frame(store, CLEAN), frame(store, "P_00008:train")])
    with pytest.raises(RecordError, match=r"2 of 3 test patients.*of the training"):
        evaluated(store, ours, [frame(store, CLEAN), frame(store, FITTED)])


def test_a_network_is_not_evaluated_on_what_its_start_package_saw(store):
    version(store, "first", fitted_to=frame(store, FITTED), model_id="a" * 64)
    with pytest.raises(RecordError, match=r"2 of 3.*frame \w+ of first/1"):
        evaluated(store, frame(store, OURS), [], start="a" * 64)


def test_trainings_that_a_role_may_not_read_are_unknown(store, monkeypatch):
    uri = version(store, "m", fitted_to=frame(store, CLEAN))
    exists = type(store).exists

    def refuse(self, key):
        if key.startswith("trainings/"):
            raise StoreError("denied", expected="access", received="none")
        return exists(self, key)

    monkeypatch.setattr(type(store), "exists", refuse)
    facts = check(store, frame(store, OURS), uri)
    assert facts["state"] == "unknown" and "is not in the store" in facts["reasons"][0]


def test_a_package_that_names_all_frames_needs_no_training(store):
    frames = [frame(store, CLEAN), frame(store, FITTED)]
    named = {"fitted_frames": [each.id for each in frames], "fitted_unknown": ["one is unknown"]}
    uri = put_version(store, "m", 1, {"frame_id": frames[0].id, **named}, "a" * 64)
    with pytest.raises(RecordError, match="2 of 3"):
        check(store, frame(store, OURS), uri)
    named["fitted_frames"] = [frames[0].id]
    uri = put_version(store, "n", 1, {"frame_id": frames[0].id, **named}, "b" * 64)
    assert check(store, frame(store, OURS), uri)["reasons"] == ["one is unknown"]
