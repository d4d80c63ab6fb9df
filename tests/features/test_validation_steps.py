"""The steps validate-data and find-new, on a store with a champion and without."""

import json
from dataclasses import replace

import pytest

from mammo_core import steps
from mammo_core.datasets import Manifest, parse, publish
from mammo_core.datasets.tables import put_table
from mammo_core.features import publish_frame
from mammo_core.recipes import load_recipe
from mammo_core.store import open_store


def put_champion(store, frame_id, tables_id, version=1, dataset_id=""):
    """A version in the registry, as far as these steps look: which frame it is of."""
    place = f"models/phantom/{version}"
    told = {"frame_id": frame_id, "tables_id": tables_id, "image_dataset_id": dataset_id}
    store.write(f"{place}/lineage.json", json.dumps(told).encode())
    store.write(f"models/phantom/published/{version}.json", b'{"model_id": "m", "sums": "s"}')
    store.write(
        "models/phantom/champion", json.dumps({"version": version, "model_id": "m"}).encode()
    )


def put_tables(store, images, id):
    """An index's manifest with nothing but its images."""
    manifest = Manifest(kind="tables", id=id, revision=1, config={}, files=())
    file = put_table(store, manifest.folder, "images.parquet", images)
    return publish(store, manifest.model_copy(update={"files": (file,)}))


@pytest.fixture(scope="module")
def told(tmp_path_factory, made):
    """Two frames: the second has another manufacturer, darker images."""
    place = tmp_path_factory.mktemp("validation")
    store, tables = open_store((place / "store").as_uri()), made.tables()
    first = publish_frame(store, tables)
    other = replace(
        tables,
        images=tables.images.assign(manufacturer="ge"),
        dataset_id="d2",
        inputs={"images": "d2"},
    )
    second = publish_frame(store, other)
    dataset = Manifest(kind="datasets/images", id="d1", revision=1, config={}, files=())
    for name, manifest in (("first", first), ("second", second), ("images", dataset)):
        (place / f"{name}.json").write_text(manifest.to_json())
    (place / "recipe.json").write_text(
        load_recipe("phantom", ["retrain.min_new_images=4"]).to_json()
    )
    put_tables(store, tables.images, "t1")
    return place, store, first, tables


def run(told, step, name, **inputs):
    place, store = told[:2]
    return step(
        store=store.uri,
        run_id=name,
        recipe=str(place / "recipe.json"),
        out=str(place / f"{name}.out.json"),
        **inputs,
    )


def validate(told, name, frame):
    place = told[0]
    return run(
        told,
        steps.validate_data,
        name,
        images=str(place / "images.json"),
        frame=str(place / f"{frame}.json"),
        report=str(place / name / "report.html"),
    )


def status(told, run_id, step):
    return json.loads(told[1].read(f"runs/{run_id}/steps/{step}.json"))


def test_validation_before_and_after_a_champion(told, capsys):
    place, store, first, _ = told
    store.delete("models/phantom/champion")
    assert not validate(told, "none", "second")["found"]
    assert "There is no champion yet" in (place / "none" / "report.html").read_text()
    assert "no champion yet" in capsys.readouterr().out

    put_champion(store, first.id, "t1")
    assert validate(told, "same", "first")["images"] == 16
    assert parse((place / "same.out.json").read_bytes(), "").lineage["champion_frame"] == first.id
    assert validate(told, "again", "first")["found"]

    capsys.readouterr()
    for name in ("strange", "strange-again"):  # a verdict that is found is the same verdict
        with pytest.raises(SystemExit):
            validate(told, name, "second")
    said = capsys.readouterr().out
    assert "error: The new data is not like the champion's" in said
    assert "16 of 16 images (100.0%) have a manufacturer that the champion never saw" in said
    assert "never saw: ge (16)" in (place / "strange" / "report.html").read_text()
    assert not (place / "strange.out.json").exists()
    assert status(told, "strange", "validate-data")["state"] == "failed"


def test_records_made_in_another_way_are_told(told, capsys):
    _, store, first, _ = told
    other = {"conversion": {"crop_to_breast": True}}
    dataset = Manifest(
        kind="datasets/images", id="other", revision=1, config={}, files=(), facts=other
    )
    publish(store, dataset)
    put_champion(store, first.id, "t1", dataset_id="other")
    validate(told, "converted", "first")
    assert "gray levels are not compared" in capsys.readouterr().out


def test_a_champion_whose_frame_is_gone_is_told(told, capsys):
    put_champion(told[1], "elsewhere", "t1")
    validate(told, "gone", "second")
    assert "frame elsewhere of the champion" in capsys.readouterr().out


def test_what_is_new_and_whether_it_is_enough(told, capsys):
    place, store, first, tables = told
    put_champion(store, first.id, "t1")
    more = tables.images[:5].assign(image_id=[f"new{n}" for n in range(5)], patient_key="P_new")
    for name, images, count, sufficient in (
        ("nothing", tables.images, 0, False),
        ("little", more[:3], 3, False),
        ("much", more, 5, True),
    ):
        manifest = put_tables(store, images, name)
        (place / f"{name}.tables.json").write_text(manifest.to_json())
        done = run(told, steps.find_new, name, tables=str(place / f"{name}.tables.json"))
        assert (done["new_images"], done["new_patients"]) == (count, min(count, 1))
        assert steps.enough(str(place / f"{name}.out.json")) is sufficient
    assert "5 new images of 1 patients, 0 with another label: enough" in capsys.readouterr().out
    facts = status(told, "much", "find-new")["facts"]
    assert facts["champion_uri"].endswith("models/phantom/1")


def test_without_a_champion_everything_is_new(told):
    place, store, _, tables = told
    store.delete("models/phantom/champion")
    manifest = put_tables(store, tables.images, "t1")
    (place / "all.tables.json").write_text(manifest.to_json())
    done = run(told, steps.find_new, "all", tables=str(place / "all.tables.json"))
    assert done["new_images"] == 16 and steps.enough(str(place / "all.out.json"))
