"""The pipelines retrain, transfer and score, and an ensemble, in the store of a first run."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from mammo_core import steps
from mammo_core.datasets.tables import read_table
from mammo_core.features.kinds import FRAME
from mammo_core.runs import Run
from mammo_core.store import open_store
from tests.support.training_run import begin_run

pytestmark = pytest.mark.slow
RECIPE = Path(__file__).parent / "recipe.yaml"


@pytest.fixture
def store(undisturbed, tmp_path):
    """A copy of the store in which a run pushed a champion."""
    work, first = undisturbed
    assert first.code == 0, first.output
    shutil.copytree(work / "store", tmp_path / "store")
    return open_store((tmp_path / "store").as_uri())


#: An output under its content address; the registry and the feature store have rules of their own.
_SHARED = re.compile(
    r"[a-z]+(/[a-z]+)?/([0-9a-f]{32}|memos|file-facts)/.+|(models|features|[.]leases)/.+"
)


def test_two_runs_with_different_recipes_share_only_content_addressed_outputs(
    store, pipeline, tmp_path
):
    earlier = set(store.list(""))
    before = {key: store.read(key) for key in store.list("runs")}
    done = pipeline.run(tmp_path, "--set", "gate.min_auc=0.01", "--run-id", "second")
    assert done.code == 0, done.output
    first = {key.split("/")[1] for key in before}
    assert "second" not in first
    assert {key: store.read(key) for key in before} == before
    recipes = {
        run_id: json.loads(store.read(f"runs/{run_id}/recipe.json"))
        for run_id in [*first, "second"]
    }
    assert {recipe["gate"]["min_auc"] for recipe in recipes.values()} == {0.01, 0.0}
    added = [key for key in store.list("") if key not in earlier]
    shared = [key for key in added if not key.startswith("runs/second/")]
    assert shared and [key for key in shared if not _SHARED.fullmatch(key)] == []


def test_retrain_ends_early_if_nothing_is_new(store, pipeline, tmp_path):
    done = pipeline.run(tmp_path, "--pipeline", "retrain", order="reversed")
    assert done.code == 0, done.output
    assert "too few" in done.output
    assert done.summary["state"] == "succeeded"
    assert "train-image" not in done.summary["states"]


def test_retrain_fine_tunes_the_champion_if_enough_is_new(store, pipeline, tmp_path):
    more = ["--set", "retrain.min_new_images=0", "--set", "gate.non_inferiority=point"]
    done = pipeline.run(tmp_path, "--pipeline", "retrain", *more, "--set", "gate.margin=0.9")
    assert done.code == 0, done.output
    states = done.summary["states"]
    assert states["start-from"] == states["train-image"] == "succeeded"
    assert "train-patch" not in states
    assert done.summary["model_uri"] == f"{store.uri}/models/tiny/2"
    lineage = json.loads(store.read("models/tiny/2/lineage.json"))
    assert lineage["image_training_id"]


def test_nobody_changes_sides_when_patients_are_added(store, mammo, tmp_path):
    # With three more patients, the phantom draws its official split again.
    tree = tmp_path / "grown"
    options = ["--patients", "27", "--seed", "3", "--layout", "nbia", "--size", "192x150"]
    subprocess.run([mammo, "phantom", "create", tree, *options], check=True, capture_output=True)
    champion = json.loads(store.read("models/tiny/1/lineage.json"))["frame_id"]
    table = read_table(store, FRAME.read(store, champion), "splits.parquet")
    before = table.set_index("patient_key")["split"].to_dict()
    settings = [
        f"image_training.start={store.uri}/models/tiny/1",
        f"source.root={json.dumps(str(tree))}",
    ]
    run = begin_run(store, "grown", str(RECIPE), settings)
    tables = steps.index(run)
    official = read_table(store, tables, "images.parquet").set_index("patient_key")
    drawn_again = official["official_split"].to_dict()
    assert any(before[key] == "train" and drawn_again[key] == "test" for key in before)
    images = steps.convert(run, tables=tables)
    frame = steps.publish_features(run, tables=tables, images=images)
    after = read_table(store, frame, "splits.parquet").set_index("patient_key")["split"].to_dict()
    assert {key: after[key] for key in before} == before and len(after) == 27
    facts = Run(store, "grown").statuses()["publish-features"]["facts"]
    assert [result["state"] for result in facts["contamination"]] == ["none"]
    assert facts["assignment"]["known"] == len(before)


def test_transfer_starts_from_a_named_model_in_any_order_of_tasks(store, pipeline, tmp_path):
    start = f"start={store.uri}/models/tiny/1"
    for order in ("sorted", "reversed"):  # the second run reuses most outputs
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


def test_members_of_an_ensemble_become_one_model(undisturbed, pipeline, tmp_path):
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
    # The last of several options with the same name applies.
    done = pipeline.run(tmp_path, "--recipe", str(path), "--param", "partitions=2")
    assert done.code == 0, done.output
    states = done.summary["states"]
    assert {"train-image-one", "train-image-two", "convert", "combine"} <= set(states)
    assert not [name for name in states if "-of-2" in name]  # the images were there already
    assert done.summary["model_uri"].endswith("/models/pair/1")
