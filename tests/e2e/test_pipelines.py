"""The other pipelines, on what the first one left: retrain, transfer, score, an ensemble."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from mammo_core.steps import at_paths
from mammo_core.datasets import find
from mammo_core.datasets.tables import read_table
from mammo_core.features import read_frame
from mammo_core.recipes import load_recipe
from mammo_core.store import open_store

pytestmark = pytest.mark.slow
RECIPE = Path(__file__).parent / "recipe.yaml"


@pytest.fixture
def store(undisturbed, tmp_path):
    """A copy of the store in which a run pushed a champion."""
    work, first = undisturbed
    assert first.code == 0, first.output
    shutil.copytree(work / "store", tmp_path / "store")
    return open_store((tmp_path / "store").as_uri())


def test_retrain_ends_early_where_nothing_is_new(store, pipeline, tmp_path):
    done = pipeline.run(tmp_path, "--pipeline", "retrain", order="reversed")
    assert done.code == 0, done.output
    assert "too little" in done.output
    assert done.summary["state"] == "succeeded"
    assert "train-image" not in done.summary["states"]


def test_retrain_trains_the_champion_on_where_enough_is_new(store, pipeline, tmp_path):
    more = ["--set", "retrain.min_new_images=0", "--set", "gate.non_inferiority=point"]
    done = pipeline.run(tmp_path, "--pipeline", "retrain", *more, "--set", "gate.margin=0.9")
    assert done.code == 0, done.output
    states = done.summary["states"]
    assert states["start-from"] == states["train-image"] == "succeeded"
    assert "train-patch" not in states
    assert done.summary["model_uri"] == f"{store.uri}/models/tiny/2"
    lineage = json.loads(store.read("models/tiny/2/lineage.json"))
    assert lineage["image_training_id"]


def test_retrain_stops_where_the_champion_has_seen_test_patients(store, mammo, pipeline, tmp_path):
    # Three patients more: the phantom's official sides are dealt anew.
    tree = tmp_path / "grown"
    options = ["--patients", "27", "--seed", "3", "--layout", "nbia", "--size", "192x150"]
    subprocess.run([mammo, "phantom", "create", tree, *options], check=True, capture_output=True)
    more = ["--source", str(tree), "--set", "retrain.min_new_images=0"]
    done = pipeline.run(tmp_path, "--pipeline", "retrain", *more)
    assert done.code == 1, done.output

    frames = [
        find(store, "frames", Path(key).parent.name)
        for key in store.list("frames/")
        if key.endswith("/manifest.json")
    ]
    champion = json.loads(store.read("models/tiny/1/lineage.json"))["frame_id"]
    before = read_frame(store, champion).images
    (mine,) = [frame.id for frame in frames if frame.id != champion]
    test = set(read_frame(store, mine).split("test")["patient_key"])
    seen = test & set(before.loc[before["split"] != "test", "patient_key"])
    assert 0 < len(seen) < len(test)
    error = done.summary["errors"]["publish-features"]
    assert error.startswith(f"{len(seen)} of {len(test)} test patients were in the training")
    assert "split.name=given" in error
    assert not any(key in done.output for key in seen)
    assert not any(step.startswith("train") for step in done.summary["states"])

    # The remedy: who was there stays where she was, who is new is trained on.
    last = find(store, "frames", champion)
    sides = read_table(store, last, "splits.parquet").set_index("patient_key")["split"].to_dict()
    given = dict.fromkeys(read_frame(store, mine).images["patient_key"], "train")
    given |= {key: side for key, side in sides.items() if side != "excluded"}
    settings = [
        "split.name=given",
        f"split.patients={json.dumps(given)}",
        f"image_training.start={store.uri}/models/tiny/1",
        f"source.root={json.dumps(str(tree))}",
    ]
    (tmp_path / "given.json").write_text(load_recipe(str(RECIPE), settings).to_json())
    common = {"store": store.uri, "run_id": "given", "recipe": str(tmp_path / "given.json")}
    for name, inputs in (("tables", []), ("images", ["tables"]), ("frame", ["tables", "images"])):
        step = {"tables": at_paths.index, "images": at_paths.convert, "frame": at_paths.publish_features}
        paths = {one: str(tmp_path / one) for one in inputs}
        step[name](**common, **paths, out=str(tmp_path / name))
    record = json.loads(store.read("runs/given/steps/publish-features.json"))
    assert [one["state"] for one in record["facts"]["test_patients_seen"]] == ["none"]


def test_transfer_starts_from_a_named_model_in_any_order_of_its_tasks(store, pipeline, tmp_path):
    start = f"start={store.uri}/models/tiny/1"
    for order in ("sorted", "reversed"):  # the second time most is in the store
        more = ["--param", start, "--set", f"model_name={order}"]
        done = pipeline.run(tmp_path, "--pipeline", "transfer", *more, runs=order, order=order)
        assert done.code == 0, done.output
        assert done.summary["model_uri"] == f"{store.uri}/models/{order}/1"


def test_score_scores_every_image_of_the_source(store, pipeline, phantom_tree, tmp_path):
    line = ["--pipeline", "score", "--param", f"model={store.uri}/models/tiny"]
    done = pipeline.run(tmp_path, *line)
    assert done.code == 0, done.output
    (status,) = [
        json.loads(store.read(key))
        for key in store.list("runs")
        if key.endswith("/steps/score.json")
    ]
    assert status["state"] == "succeeded"
    assert status["counts"]["images"] > 0
    assert any(key.startswith("scores/") for key in store.list("scores"))


def test_members_are_trained_beside_each_other_and_make_one_model(undisturbed, pipeline, tmp_path):
    work, _ = undisturbed
    shutil.copytree(work / "store", tmp_path / "store")
    values = yaml.safe_load(RECIPE.read_text())
    values["model_name"] = "pair"
    values["members"] = [
        {"name": "one"},
        {"name": "two", "weight": 2, "image_training": {"head": {"depths": [4]}}},
    ]
    path = tmp_path / "members.yaml"
    path.write_text(yaml.safe_dump(values))
    # The later of two options of one name holds.
    done = pipeline.run(tmp_path, "--recipe", str(path), "--param", "partitions=2")
    assert done.code == 0, done.output
    states = done.summary["states"]
    assert {"train-image-one", "train-image-two", "convert-0-of-2", "combine"} <= set(states)
    assert done.summary["model_uri"].endswith("/models/pair/1")
