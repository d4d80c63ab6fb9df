"""The steps validate-data and find-new, with and without a champion."""

import json
from dataclasses import replace

import pytest

from mammo_core import at_paths
from mammo_core.datasets import Manifest, parse, publish
from mammo_core.datasets.tables import put_table
from mammo_core.features import publish_frame
from mammo_core.features.kinds import NEW_IMAGES
from mammo_core.ingest.kinds import IMAGE_DATASET, ImageDatasetFacts
from mammo_core.preprocessing import Conversion, Geometry
from mammo_core.recipes import load_recipe
from mammo_core.runs import Run, retraining
from mammo_core.runs.garbage import find_garbage
from mammo_core.runs.retraining import claim_retraining
from mammo_core.store import open_store
from tests.support.feature_tables import make_tables
from tests.support.registry_fixtures import put_version, remove_model


def put_champion(store, frame_id, tables_id, version=1, dataset_id=""):
    """Write a version to the registry, with the files that these steps read."""
    lineage = {"frame_id": frame_id, "tables_id": tables_id, "image_dataset_id": dataset_id}
    put_version(store, "phantom", version, lineage, "m")


def put_tables(store, images, id):
    """Publish an index with only a table of images."""
    manifest = Manifest(kind="tables", id=id, revision=1, config={}, files=())
    file = put_table(store, manifest.folder, "images.parquet", images)
    return publish(store, manifest.model_copy(update={"files": (file,)}))


def image_dataset(id, **conversion):
    """Return the manifest of an image dataset without files."""
    facts = ImageDatasetFacts(
        bit_depth=16,
        geometry=Geometry(height=96, width=72),
        conversion=Conversion(**conversion),
    )
    return IMAGE_DATASET.manifest(id, config={}, facts=facts)


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    """Two frames; the images of the second are from another manufacturer."""
    folder = tmp_path_factory.mktemp("validation")
    store, tables = open_store((folder / "store").as_uri()), make_tables()
    first = publish_frame(store, tables)
    other = replace(
        tables,
        images=tables.images.assign(manufacturer="ge"),
        dataset_id="d2",
        inputs={"images": "d2"},
    )
    second = publish_frame(store, other)
    dataset = image_dataset("d1")
    for name, manifest in (("first", first), ("second", second), ("images", dataset)):
        (folder / f"{name}.json").write_text(manifest.to_json())
    (folder / "recipe.json").write_text(
        load_recipe("phantom", ["retrain.min_new_images=4"]).to_json()
    )
    put_tables(store, tables.images, "t1")
    return folder, store, first, tables


def run(setup, step, name, **inputs):
    folder, store = setup[:2]
    return step(
        store=store.uri,
        run_id=name,
        recipe=str(folder / "recipe.json"),
        out=str(folder / f"{name}.out.json"),
        **inputs,
    )


def validate(setup, name, frame):
    folder = setup[0]
    return run(
        setup,
        at_paths.validate_data,
        name,
        images=str(folder / "images.json"),
        frame=str(folder / f"{frame}.json"),
        report=str(folder / name / "report.html"),
    )


def status(setup, run_id, step):
    return json.loads(setup[1].read(f"runs/{run_id}/steps/{step}.json"))


def is_enough(path):
    """Whether the output of `find-new` says that there is enough to train again."""
    return NEW_IMAGES.facts_of(parse(path.read_bytes(), path.name)).enough


def test_validation_before_and_after_a_champion(setup, capsys):
    folder, store, first, _ = setup
    remove_model(store, "phantom")
    assert not validate(setup, "none", "second")["reused"]
    assert "There is no champion yet" in (folder / "none" / "report.html").read_text()
    assert "no champion yet" in capsys.readouterr().out

    put_champion(store, first.id, "t1")
    assert validate(setup, "same", "first")["images"] == 16
    assert parse((folder / "same.out.json").read_bytes(), "").lineage["champion_frame"] == first.id
    assert validate(setup, "again", "first")["reused"]

    capsys.readouterr()
    for name in ("strange", "strange-again"):  # a reused verdict is the same verdict
        with pytest.raises(SystemExit):
            validate(setup, name, "second")
    output = capsys.readouterr().out
    assert "error: The new data is not like the champion's" in output
    assert "16 of 16 images (100.0%) have a manufacturer that the champion never saw" in output
    assert "never saw: ge (16)" in (folder / "strange" / "report.html").read_text()
    assert not (folder / "strange.out.json").exists()
    assert status(setup, "strange", "validate-data")["state"] == "failed"


def test_another_conversion_is_reported(setup, capsys):
    _, store, first, _ = setup
    publish(store, image_dataset("other", crop_to_breast=True))
    put_champion(store, first.id, "t1", dataset_id="other")
    validate(setup, "converted", "first")
    assert "gray levels are not compared" in capsys.readouterr().out


def test_a_champion_without_its_frame_is_reported(setup, capsys):
    put_champion(setup[1], "elsewhere", "t1")
    validate(setup, "gone", "second")
    assert "frame elsewhere of the champion" in capsys.readouterr().out


def test_find_new_counts_images_and_decides(setup, capsys):
    folder, store, first, tables = setup
    put_champion(store, first.id, "t1")
    more = tables.images[:5].assign(image_id=[f"new{n}" for n in range(5)], patient_key="P_new")
    for name, images, count, sufficient in (
        ("nothing", tables.images, 0, False),
        ("little", more[:3], 3, False),
        ("much", more, 5, True),
    ):
        manifest = put_tables(store, images, name)
        (folder / f"{name}.tables.json").write_text(manifest.to_json())
        done = run(setup, at_paths.find_new, name, tables=str(folder / f"{name}.tables.json"))
        assert (done["new_images"], done["new_patients"]) == (count, min(count, 1))
        assert is_enough(folder / f"{name}.out.json") is sufficient
    assert "5 new images of 1 patients, 0 with another label: enough" in capsys.readouterr().out
    facts = status(setup, "much", "find-new")["facts"]
    assert facts["champion_uri"].endswith("models/phantom/1")


def test_a_second_retraining_of_the_same_champion_ends_early(setup, capsys):
    folder, store, first, tables = setup
    put_champion(store, first.id, "t1", version=3)
    more = tables.images[:5].assign(image_id=[f"new{n}" for n in range(5)], patient_key="P_new")
    (folder / "more.tables.json").write_text(put_tables(store, more, "more").to_json())

    def finds_enough(name):
        run(setup, at_paths.find_new, name, tables=str(folder / "more.tables.json"))
        return is_enough(folder / f"{name}.out.json")

    assert finds_enough("one")
    assert not finds_enough("two")
    words = "the run one trains this champion on, so this run ends early"
    assert words in capsys.readouterr().out
    assert words in status(setup, "two", "find-new")["facts"]["summary"]
    # The first may be asked again, and what it claims is no garbage.
    assert finds_enough("one")
    assert not [
        item for item in find_garbage(store, [], grace_s=0).garbage if "claims" in item.name
    ]
    # Its summary ends its claim, and another champion is another claim.
    Run(store, "one").write_summary({"state": "failed"})
    assert finds_enough("two")
    assert not finds_enough("three")
    put_champion(store, first.id, "t1", version=4)
    assert finds_enough("three")


def test_a_retraining_that_died_without_a_word_does_not_block_for_good(setup, monkeypatch):
    store = setup[1]
    dead, next_one = Run(store, "dead"), Run(store, "next")
    assert claim_retraining(dead, "other", "file://x/models/other/1") == ""
    assert claim_retraining(next_one, "other", "file://x/models/other/1") == "dead"
    monkeypatch.setattr(retraining, "ABANDONED_S", 0.0)
    assert claim_retraining(next_one, "other", "file://x/models/other/1") == ""


def test_without_a_champion_everything_is_new(setup):
    folder, store, _, tables = setup
    remove_model(store, "phantom")
    manifest = put_tables(store, tables.images, "t1")
    (folder / "all.tables.json").write_text(manifest.to_json())
    done = run(setup, at_paths.find_new, "all", tables=str(folder / "all.tables.json"))
    assert done["new_images"] == 16 and is_enough(folder / "all.out.json")
