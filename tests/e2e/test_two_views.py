"""A model of both views: trained, judged against one of single images, pushed, and scored with."""

import csv
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mammo_core import steps
from mammo_core.datasets import find
from mammo_core.packaging import load, resolve, verify
from mammo_core.recipes import load_recipe
from mammo_core.store import open_store

pytestmark = pytest.mark.slow

_TWO_VIEWS = ("--set", "image_training.two_view={towers: shared, join: concatenate}")
#: One epoch shows nothing: whatever it is worth may pass.
_LENIENT = ("--set", "gate.margin=1.0", "--set", "gate.bootstrap_replicates=100")


@pytest.fixture(scope="module")
def pushed(undisturbed, pipeline, tmp_path_factory):
    """The store of a run of single images, and a run of two views on it."""
    work, first = undisturbed
    assert first.code == 0, first.output
    mine = tmp_path_factory.mktemp("two-views")
    shutil.copytree(work / "store", mine / "store")
    return mine, pipeline.run(mine, *_TWO_VIEWS, *_LENIENT)


def _evaluation(work, done):
    record = work / "store/runs" / done.summary["run_id"] / "steps/evaluate.json"
    return (work / "store" / json.loads(record.read_text())["output"]).parent


def _metrics(work, done):
    return json.loads((_evaluation(work, done) / "metrics.json").read_text())


def test_it_is_judged_by_breasts_and_pushed(pushed):
    work, done = pushed
    assert done.code == 0, done.output
    assert done.summary["model_uri"] == f"file://{work}/store/models/tiny/2"
    gate = done.summary["gate"]
    assert gate["passed"] and gate["unit"] == "breast"
    assert gate["reasons"][0].startswith("AUC per breast")
    assert "judged per breast" in gate["reasons"][-1]
    levels = {level["level"]: level for level in _metrics(work, done)["image"]["levels"]}
    assert gate["auc"] == pytest.approx(levels["breast"]["auc"]["value"])
    manifest = verify(resolve(done.summary["model_uri"]))
    assert manifest.unit == "breast"
    assert manifest.exports == {"saved_model": "exported", "onnx": "exported"}


def test_two_packages_are_compared_by_breasts(pushed, mammo):
    work, _ = pushed
    uris = [f"file://{work}/store/models/tiny/{number}" for number in (2, 1)]
    told = subprocess.run(
        [mammo, "models", "compare", *uris, "--json"], capture_output=True, text=True, check=True
    )
    found = json.loads(told.stdout)
    assert [one["unit"] for one in found["models"]] == ["breast", "image"]
    assert found["paired"]["levels"][0]["level"] == "breast"


def test_scores_of_the_test_views_are_those_of_the_evaluation(
    pushed, phantom_tree, mammo, tmp_path
):
    import pandas as pd

    work, done = pushed
    predicted = pd.read_parquet(_evaluation(work, done) / "test.parquet")
    expected = dict(zip(predicted["image_id"], predicted["probability"], strict=True))
    out = tmp_path / "scores.csv"
    line = [mammo, "score", "--model", done.summary["model_uri"], phantom_tree, "--out", out]
    told = subprocess.run(line, capture_output=True, text=True, check=True)
    assert "Each image has the probability of its breast" in told.stdout
    rows = {row["id"]: row for row in csv.DictReader(out.open())}
    assert expected and set(expected) <= set(rows)
    for name, probability in expected.items():
        assert float(rows[name]["malignant_probability"]) == pytest.approx(probability, abs=1e-4)
    breasts = list(csv.DictReader((tmp_path / "scores.breasts.csv").open()))
    assert len({(row["patient"], row["laterality"]) for row in breasts}) == len(breasts)
    assert all(row["patient"].startswith("P_") for row in breasts)


def test_training_goes_on_from_it(pushed, tmp_path: Path):
    work, done = pushed
    store = open_store(f"file://{work}/store")
    inputs = {}
    for name, kind in (("images", "datasets/images"), ("frame", "frames")):
        id = done.summary["datasets"][name]["id"]
        inputs[name] = str(work / "store" / kind / id / "manifest.json")
    stages = "[{train: all, learning_rate: 1.0e-12, weight_decay: 0, epochs: 1}]"
    start = f"image_training.start={done.summary['model_uri']}"

    def train(name: str, two_view: str) -> None:
        recipe = load_recipe(
            str(Path(__file__).parent / "recipe.yaml"),
            [start, f"image_training.stages={stages}", f"image_training.two_view={two_view}"],
        )
        store.write(f"runs/{name}/recipe.json", recipe.to_json().encode())
        steps.train_image(
            store=store.uri,
            run_id=name,
            recipe=f"{store.uri}/runs/{name}/recipe.json",
            out=str(tmp_path / f"{name}.json"),
            **inputs,
        )

    train("on", "{towers: shared, join: concatenate}")
    from mammo_core.models import load_model

    trained = find(store, "trainings/image", json.loads((tmp_path / "on.json").read_text())["id"])
    assert trained.lineage["start"] == done.summary["model_id"]
    mine = load_model(store.fetch(trained.file("model.keras").key))
    theirs = load(resolve(done.summary["model_uri"])).model
    for one, other in zip(mine.weights, theirs.weights, strict=True):
        if "moving" not in one.path:
            np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-6)
    for name, two_view in (("single", "null"), ("other", "{towers: separate}")):
        with pytest.raises(SystemExit):
            train(name, two_view)
        told = json.loads(store.read(f"runs/{name}/steps/train-image.json"))["error"]
        assert "sees both views of a breast" in told and "towers shared" in told
