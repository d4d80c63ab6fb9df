"""A model of both views: trained, judged against one of single images, pushed, and scored with.

The steps of the pipeline in this process, on what a run of single images left in its store.
"""

import csv
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mammo_core.steps import at_paths
from mammo_core.datasets import Manifest, parse
from mammo_core.packaging import load, verify
from mammo_core.recipes import load_recipe
from mammo_core.registry import resolve
from mammo_core.store import Store, open_store

pytestmark = pytest.mark.slow

_SHARED = "{towers: shared, join: concatenate}"
_RECIPE = Path(__file__).parent / "recipe.yaml"


@dataclass
class Work:
    """A store, and the manifests of its outputs by name."""

    folder: Path
    store: Store

    def path(self, name: str) -> str:
        return str(self.folder / f"{name}.json")

    def output(self, name: str) -> Manifest:
        return parse(Path(self.path(name)).read_bytes(), name)

    def record(self, step: str, run: str = "pairs") -> dict[str, Any]:
        return json.loads(self.store.read(f"runs/{run}/steps/{step}.json"))

    def run(self, run: str, *overrides: str) -> dict[str, str]:
        """What every step of a run is told."""
        told = ["gate.margin=1.0", "gate.bootstrap_replicates=100", *overrides]
        self.store.write(
            f"runs/{run}/recipe.json", load_recipe(str(_RECIPE), told).to_json().encode()
        )
        return {"store": self.store.uri, "run_id": run, "recipe": "tiny"}

    def inputs(self, *names: str) -> dict[str, str]:
        return {name: self.path(name) for name in names}


@pytest.fixture(scope="module")
def work(undisturbed, tmp_path_factory):
    """The store of a run of single images, and after it a model of two views."""
    single, first = undisturbed
    assert first.code == 0, first.output
    folder = tmp_path_factory.mktemp("two-views")
    shutil.copytree(single / "store", folder / "store")
    made = Work(folder, open_store(f"file://{folder}/store"))
    record = made.record("evaluate", first.summary["run_id"])
    lineage = json.loads((folder / "store" / record["output"]).read_text())["lineage"]
    for name, kind in (
        *(("images", "datasets/images"), ("patches", "datasets/patches"), ("frame", "frames")),
        ("patch_training", "trainings/patch"),
    ):
        shutil.copyfile(folder / f"store/{kind}/{lineage[name]}/manifest.json", made.path(name))
    run = made.run("pairs", f"image_training.two_view={_SHARED}")
    data = made.inputs("images", "frame")
    patch, image = made.inputs("patch_training"), made.inputs("image_training")
    at_paths.train_image(**run, **data, **patch, out=made.path("image_training"))
    evaluated = made.inputs("patches", "evaluation")
    at_paths.evaluate(
        **run, **data, **made.inputs("patches"), **patch, **image, out=evaluated["evaluation"]
    )
    decided = {**data, **image, "evaluation": evaluated["evaluation"]}
    at_paths.gate(**run, **decided, out=made.path("decision"))
    at_paths.push(**run, **decided, **patch, **made.inputs("decision"), out=made.path("model"))
    return made


def test_it_is_judged_by_breasts_and_pushed(work):
    gate = work.record("gate")["facts"]["gate"]
    assert gate["passed"] and gate["unit"] == "breast"
    assert gate["reasons"][0].startswith("AUC per breast")
    assert "judged per breast" in gate["reasons"][-1]
    measured = json.loads(work.store.read(work.output("evaluation").file("metrics.json").key))
    levels = {level["level"]: level for level in measured["image"]["levels"]}
    assert gate["auc"] == pytest.approx(levels["breast"]["auc"]["value"])
    page = work.store.read(work.output("decision").file("comparison.html").key).decode()
    assert "Per breast, test set" in page
    report = work.store.read(work.output("evaluation").file("report.html").key).decode()
    assert "of a breast by both of its views" in report

    uri = work.record("push")["facts"]["model_uri"]
    assert uri == f"{work.store.uri}/models/tiny/2"
    manifest = verify(resolve(uri))
    assert manifest.unit == "breast"
    assert manifest.exports == {"saved_model": "exported", "onnx": "exported"}


def test_two_packages_are_compared_by_breasts(work, mammo):
    uris = [f"{work.store.uri}/models/tiny/{number}" for number in (2, 1)]
    told = subprocess.run(
        [mammo, "models", "compare", *uris, "--json"], capture_output=True, text=True, check=True
    )
    found = json.loads(told.stdout)
    assert [one["unit"] for one in found["models"]] == ["breast", "image"]
    assert found["paired"]["levels"][0]["level"] == "breast"


def test_scores_of_the_test_views_are_those_of_the_evaluation(work, phantom_tree, mammo, tmp_path):
    key = work.output("evaluation").file("test.parquet").key
    predicted = pd.read_parquet(work.store.fetch(key))
    expected = dict(zip(predicted["image_id"], predicted["probability"], strict=True))
    out, model = tmp_path / "scores.csv", f"{work.store.uri}/models/tiny"
    line = [mammo, "score", "--model", model, phantom_tree, "--out", out]
    told = subprocess.run(line, capture_output=True, text=True, check=True)
    assert "Each image has the probability of its breast" in told.stdout
    rows = {row["id"]: row for row in csv.DictReader(out.open())}
    assert expected and set(expected) <= set(rows)
    for name, probability in expected.items():
        assert float(rows[name]["malignant_probability"]) == pytest.approx(probability, abs=1e-4)
    breasts = list(csv.DictReader((tmp_path / "scores.breasts.csv").open()))
    assert len({(row["patient"], row["laterality"]) for row in breasts}) == len(breasts)
    # Crops and masks are of no breast.
    assert all(row["patient"].startswith("P_") for row in breasts)
    assert all(row["view"] for row in rows.values())


def test_training_goes_on_from_it_and_both_make_an_ensemble(work, capsys):
    start = f"image_training.start={work.store.uri}/models/tiny/2"
    nothing = "[{train: all, learning_rate: 1.0e-12, weight_decay: 0, epochs: 1}]"

    def train(name: str, two_view: str) -> None:
        run = work.run(
            name, start, f"image_training.stages={nothing}", f"image_training.two_view={two_view}"
        )
        at_paths.train_image(**run, **work.inputs("images", "frame"), out=work.path(name))

    train("on", _SHARED)
    from mammo_core.models import load_model
    from mammo_core.evaluation.aggregate import unit_of
    from mammo_core.steps.release import unit_of_training

    theirs = load(resolve(f"{work.store.uri}/models/tiny/2"))
    assert work.output("on").lineage["start"] == theirs.model_id
    mine = load_model(work.store.fetch(work.output("on").file("model.keras").key))
    for one, other in zip(mine.weights, theirs.model.weights, strict=True):
        if "moving" not in one.path:
            np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-6)
    for name, two_view in (("single", "null"), ("other", "{towers: separate}")):
        with pytest.raises(SystemExit):
            train(name, two_view)
        told = work.record("train-image", name)["error"]
        assert "sees both views of a breast" in told and "towers shared" in told

    at_paths.combine(
        **work.run("both", "members=[{name: one}, {name: two}]"),
        patch_trainings=[work.path("patch_training")] * 2,
        image_trainings=[work.path("image_training"), work.path("on")],
        patch_out=work.path("patch_of_both"),
        out=work.path("both"),
    )
    combined = work.output("both")
    assert unit_of_training(combined) == "breast"
    network = load_model(work.store.fetch(combined.file("model.keras").key))
    assert unit_of(network) == "breast"
